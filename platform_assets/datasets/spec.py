"""What a team declares about a dataset: which questions were asked when, what was known then, what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import polars as pl

from formats.contract import Column, ServingContract
from formats.errors import DeclarationError
from platform_assets.contracts.projections import serving_column
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.cleaning import Cleaning
from platform_assets.datasets.sampling import Sampling
from platform_assets.datasets.splits import Roles, Split, TimeSplit
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import FeatureView, RawTable, Tables


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
        self._check_columns("the spine's contract", self.spine.contract, "the request", self.spine.request)
        self._check_columns("the spine's contract", self.spine.contract, "the label's key", self.label.keys)
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
    def roles(self) -> Roles:
        """What splits, samples and checks must know of the columns."""
        return Roles(self.key, self.spine.prediction_time, self.label.column)

    def contract(self, team: str, model: str) -> ServingContract:
        """The request contract of a model that is trained on this: derived, never written twice."""
        request = [serving_column(self.spine.contract, name, None) for name in self.spine.request]
        looked_up = [_view_column(team, view, name) for view in self.views for name in view.features]
        views = tuple(view.served(team) for view in self.views)
        return ServingContract(model=f"{team}/{model}", columns=(*request, *looked_up), views=views)


def _view_column(team: str, view: FeatureView, name: str) -> Column:
    import msgspec

    # Before an entity's first row there is no value: whatever the view promises, the model must take its absence.
    return msgspec.structs.replace(serving_column(view.contract, name, view.qualified(team)), nullable=True)
