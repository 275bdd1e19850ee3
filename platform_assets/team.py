"""A team's whole declaration: what it owns, from raw tables to endpoints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

from msgspec import UNSET, structs

from formats.contract import ServingContract, WithoutStore
from formats.errors import DeclarationError
from formats.task import kind_of
from platform_assets.calendar import Calendar
from platform_assets.contracts.windows import require_windows
from platform_assets.datasets.spec import TrainingSet
from platform_assets.features.spec import FeatureView, RawTable
from platform_assets.monitoring.retraining import RetrainingRule
from platform_assets.ownership import Owner
from platform_assets.promotion.spec import FIGURES, AnyGate, Card
from platform_assets.training.plain import plain
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.settings import require_searchable
from platform_assets.tuning.spec import Search

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

_LEAST_IDLE = timedelta(minutes=1)


@dataclass(frozen=True)
class Model:
    """A model and its way to production.

    `baseline_by` are the columns of the group rate that the model is shown beside; `slices` those by which its figures are
    broken down. `gates` come on top of the policy of `environment`, where the endpoint that people use is deployed; a candidate
    runs in `staging` before, unless that is None. `card` is what only the team can say on the model card. `measurements` are the
    team's own figures by name, computed when a candidate is evaluated from the hold-out rows and the model's answer to each;
    gates compare them (`TeamMeasured`). `search` looks for better settings of the trainer, when somebody asks for it.
    `without_store` says what the endpoint does with rows by key while the online store cannot be read: `refuse` them with 503, or
    answer by `default`, as if the store had no row of them, and mark what is missing. An endpoint that nobody asked for a
    prediction for `idle_after` sleeps until somebody does; None: never.
    """

    name: str
    description: str
    training_set: TrainingSet
    trainer: Trainer
    gates: tuple[AnyGate, ...] = ()
    baseline_by: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    card: Card | None = None
    measurements: "Mapping[str, Callable[[pl.DataFrame, NDArray[np.float64]], float]]" = field(default_factory=dict)
    environment: str = "prod"
    staging: str | None = "staging"
    retraining: RetrainingRule = field(default_factory=RetrainingRule)
    search: Search | None = None
    without_store: WithoutStore = "refuse"
    idle_after: timedelta | None = None

    def __post_init__(self) -> None:
        if self.idle_after is not None and self.idle_after < _LEAST_IDLE:
            raise DeclarationError(
                "declaration-invalid",
                f"model {self.name} declares idle_after={self.idle_after}, and it takes {_LEAST_IDLE} at least",
                "an endpoint that sleeps takes seconds to answer its first caller; declare a time that is worth them, or None",
            )
        # Settings that cannot be told apart would be a cache hit for each other.
        plain(self.trainer)
        if self.search is not None:
            require_searchable(self.name, self.trainer, self.training_set, self.search)
        if self.without_store not in get_args(WithoutStore):
            raise DeclarationError(
                "declaration-invalid",
                f"model {self.name} says {self.without_store!r} of rows by key while the online store is away",
                f"without_store is one of {', '.join(get_args(WithoutStore))}",
            )
        task = self.training_set.label.task
        strange = [gate.name for gate in self.gates if not gate.applies_to(task)]
        if strange:
            known = ", ".join(FIGURES[kind_of(task)])
            raise DeclarationError(
                "declaration-invalid",
                f"model {self.name} answers a {kind_of(task)} question, which the gates {strange} cannot judge",
                f"judge it by {known}, or declare the task that the label really has",
            )

    def path(self, team: str) -> str:
        """`<team>/<model>`."""
        return f"{team}/{self.name}"

    def contract(self, team: str) -> ServingContract:
        """What its endpoints take and give: derived, never written twice."""
        derived = self.training_set.contract(team, self.name)
        fallback = UNSET if self.without_store == "refuse" else self.without_store
        return structs.replace(derived, fallback=fallback)

    @property
    def environments(self) -> tuple[str, ...]:
        """Where it is released, in order."""
        return (*((self.staging,) if self.staging else ()), self.environment)

    def before(self, environment: str) -> tuple[str, ...]:
        """The environments through which a candidate comes before `environment`."""
        return self.environments[: self.environments.index(environment)]

    def endpoint(self, team: str, environment: str | None = None) -> str:
        """`<team>/<model>/<environment>/endpoint`, where people use it when no environment is named."""
        return f"{team}/{self.name}/{environment or self.environment}/endpoint"


@dataclass(frozen=True)
class Team:
    """One code location: `name` is the first part of every key, `contact` is `team:<name>` or an address."""

    name: str
    contact: str
    calendar: Calendar
    raw_tables: tuple[RawTable, ...] = ()
    views: tuple[FeatureView, ...] = ()
    models: tuple[Model, ...] = ()

    def __post_init__(self) -> None:
        names = [table.name for table in self.raw_tables] + [view.name for view in self.views]
        names += [model.name for model in self.models]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DeclarationError(
                "declaration-invalid", f"team {self.name} declares {repeated} more than once", "give each its own name"
            )
        tables = [(table.published_as, table.contract) for table in self.raw_tables]
        require_windows(self.name, [*tables, *((view.published_as, view.contract) for view in self.views)])

    @property
    def owner(self) -> Owner:
        """Whose the assets are."""
        return Owner(self.name, self.contact, self.calendar)
