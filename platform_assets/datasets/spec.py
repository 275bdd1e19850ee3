"""What a team declares about a dataset: which questions were asked when, what was known then, what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import polars as pl
from msgspec import UNSET

from formats.contract import Column, ServingContract
from formats.errors import DeclarationError
from formats.task import Binary, Regression, output_of
from platform_assets.contracts.projections import polars_type, serving_column
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.cleaning import Cleaning
from platform_assets.datasets.sampling import Sampling
from platform_assets.datasets.splits import Roles, Split, TimeSplit
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import FeatureView, RawTable, Tables
from platform_assets.tensors import Shape, shape_of


@dataclass(frozen=True)
class Spine:
    """The questions: `compute(tables, start, end)` gives one row for each prediction time in [start, end).

    `contract` describes the columns that a request brings: the key, the prediction time (as its event time) and the request-time
    inputs, which are the columns in `request`.
    """

    tables: tuple[RawTable, ...]
    contract: Contract
    request: tuple[str, ...]
    compute: Callable[[Tables, datetime, datetime], pl.LazyFrame]

    def lineage(self, column: str) -> tuple[str, ...]:
        """The raw columns that a column is made of, as `<table>.<column>`: the contract's `sources`, else those of its name."""
        declared: tuple[str, ...] = tuple(self.contract.metadata(column).get("sources", ()))
        return declared or tuple(f"{t.name}.{column}" for t in self.tables if column in t.contract.columns)

    @property
    def prediction_time(self) -> str:
        """The column that says when the question was asked."""
        if self.contract.event_time is None:
            raise DeclarationError(
                "declaration-invalid",
                "a spine's contract needs an event time: the prediction time",
                "declare event_time",
            )
        return self.contract.event_time


@dataclass(frozen=True)
class LeakageBounds:
    """What the checks of a training set call suspicious.

    One input alone may not rank two answers with an AUC above `maximum_auc`, or tell more than `maximum_information` (a share of
    the entropy) of an answer with more values. At most a share of `maximum_repeats` of the rows that validate may be equal, in all
    but the key, to one that was learnt from, and no value of the columns `apart` (the split's groups, if none are named) may be in
    two parts.
    """

    maximum_auc: float = 0.95
    maximum_information: float = 0.9
    maximum_repeats: float = 0.01
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingSet:
    """Spine + views + label, over the `history_months` up to a cutoff, judged on the month after it.

    `cleaning` leaves rows out before the set is stored. `split` says what of it validates while a model is trained, and `sampling`
    what is done to the part that is learnt from. The rows that a model is judged on are never touched.
    """

    spine: Spine
    label: LabelView
    views: tuple[FeatureView, ...]
    history_months: int = 12
    cleaning: tuple[Cleaning, ...] = ()
    split: Split = field(default_factory=TimeSplit)
    sampling: tuple[Sampling, ...] = ()
    leakage: LeakageBounds = field(default_factory=LeakageBounds)

    def __post_init__(self) -> None:
        names = [*self.spine.contract.columns, self.label.column, *(f for view in self.views for f in view.features)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DeclarationError(
                "declaration-invalid",
                f"the columns {repeated} occur more than once in the training set",
                "rename them in the view that is younger",
            )
        self._check_task()
        self._check_columns("the spine's contract", self.spine.contract, "the request", self.spine.request)
        self._check_columns("the spine's contract", self.spine.contract, "the label's key", self.label.keys)
        self._refuse_names()
        self._refuse_lists()
        held = {*names}
        named = {
            "the split": (*self.split.by, *self.split.strata),
            "leakage": self.leakage.apart,
            "cleaning": tuple(name for rule in self.cleaning for name in rule.by),
        }
        for what, columns in named.items():
            if absent := sorted({*columns} - held):
                raise DeclarationError(
                    "declaration-invalid", f"{what} goes by {absent}, which no row has", f"use some of {sorted(held)}"
                )
        for view in self.views:
            self._check_columns(
                "the spine's contract", self.spine.contract, f"view {view.name}'s key", view.entity.keys
            )

    def _check_task(self) -> None:
        if not isinstance(self.label.task, Regression):
            return
        steps: tuple[Split | Sampling, ...] = (self.split, *self.sampling)
        for step in steps:
            if step.by_class:
                raise DeclarationError(
                    "declaration-invalid",
                    f"{type(step).__name__} goes by the label's classes, and {self.label.column} is a number",
                    "name strata, split and sample otherwise, or declare the classes (Multiclass)",
                )

    def _refuse_names(self) -> None:
        """A model knows each text that it was trained on, and a bundle never changes: what is personal would stay in it."""
        contracts = [(self.spine.contract, self.spine.request), *((v.contract, v.features) for v in self.views)]
        texts = [
            name
            for contract, columns in contracts
            for name in columns
            if name in contract.personal and serving_column(contract, name, None).type == "text"
        ]
        if texts:
            raise DeclarationError(
                "declaration-invalid",
                f"the model would be given {', '.join(texts)}, which is personal and a text: its values would be in every bundle",
                "leave it out, or give a number or a group that is made of it",
            )

    def _refuse_lists(self) -> None:
        """A request brings tensors of a declared shape; what a view looks up is packed online, number by number."""
        requested = {name: polars_type(self.spine.contract, name) for name in self.spine.request}
        shapeless = [name for name, dtype in requested.items() if dtype.is_nested() and not shape_of(dtype)]
        looked_up = [f for view in self.views for f in view.features if polars_type(view.contract, f).is_nested()]
        if shapeless or looked_up:
            raise DeclarationError(
                "declaration-invalid",
                f"the model would be given {', '.join(shapeless + looked_up)}: a list without a shape, or one that a view looks up",
                "declare a Tensor with its shape, among the columns that a request brings",
            )

    @staticmethod
    def _check_columns(where: str, contract: Contract, what: str, names: tuple[str, ...]) -> None:
        absent = sorted(set(names) - set(contract.columns))
        if absent:
            raise DeclarationError(
                "declaration-invalid",
                f"{what} has the columns {absent}, which {where} ({contract.schema.__name__}) does not have",
                f"use some of {sorted(contract.columns)}, or add them to it",
            )

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that tell the rows apart."""
        return self.spine.contract.row_key

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the model is given of a row: what a request brings, and what is looked up."""
        return (*self.spine.request, *(name for view in self.views for name in view.features))

    @property
    def awaited(self) -> tuple[str, ...]:
        """Whose days must be in before questions of a day are answered: the views', or the daily tables' if there are none."""
        tables = [*self.spine.tables, self.label.table]
        return tuple(view.name for view in self.views) or tuple(table.name for table in tables if table.daily)

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of each input that is a tensor."""
        return {
            name: shape for name in self.spine.request if (shape := shape_of(polars_type(self.spine.contract, name)))
        }

    @property
    def personal(self) -> tuple[str, ...]:
        """The columns of a row that are about a person."""
        contracts = (self.spine.contract, *(view.contract for view in self.views), self.label.table.contract)
        return tuple(dict.fromkeys(name for contract in contracts for name in contract.personal))

    @property
    def roles(self) -> Roles:
        """What splits, samples and checks must know of the columns."""
        return Roles(self.key, self.spine.prediction_time, self.label.column)

    def contract(self, team: str, model: str) -> ServingContract:
        """The request contract of a model that is trained on this: derived, never written twice."""
        request = [serving_column(self.spine.contract, name, None) for name in self.spine.request]
        looked_up = [_view_column(team, view, name) for view in self.views for name in view.features]
        views = tuple(view.served(team) for view in self.views)
        task = self.label.task
        return ServingContract(
            model=f"{team}/{model}",
            columns=(*request, *looked_up),
            views=views,
            output=output_of(task),
            other_task=UNSET if isinstance(task, Binary) else task,
        )


def _view_column(team: str, view: FeatureView, name: str) -> Column:
    import msgspec

    # Before an entity's first row there is no value: whatever the view promises, the model must take its absence.
    return msgspec.structs.replace(serving_column(view.contract, name, view.qualified(team)), nullable=True)
