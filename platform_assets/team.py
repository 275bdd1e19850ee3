"""A team's whole declaration: what it owns, from raw tables to endpoints."""

from dataclasses import dataclass, field

from formats.errors import DeclarationError
from platform_assets.calendar import Calendar
from platform_assets.datasets.spec import TrainingSet
from platform_assets.features.spec import FeatureView, RawTable
from platform_assets.monitoring.retraining import RetrainingRule
from platform_assets.ownership import Owner
from platform_assets.promotion.spec import AnyGate
from platform_assets.training.spec import TorchTrainer


@dataclass(frozen=True)
class Model:
    """A model and its way to production.

    `baseline_by` are the columns of the group rate that the model is shown beside; `slices` those by which its figures are
    broken down. `gates` come on top of the environment's policy. An endpoint is deployed in `environment`.
    """

    name: str
    description: str
    training_set: TrainingSet
    trainer: TorchTrainer
    gates: tuple[AnyGate, ...] = ()
    baseline_by: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    environment: str = "prod"
    retraining: RetrainingRule = field(default_factory=RetrainingRule)

    def path(self, team: str) -> str:
        """`<team>/<model>`."""
        return f"{team}/{self.name}"

    def endpoint(self, team: str) -> str:
        """`<team>/<model>/<environment>/endpoint`."""
        return f"{team}/{self.name}/{self.environment}/endpoint"


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

    @property
    def owner(self) -> Owner:
        """Whose the assets are."""
        return Owner(self.name, self.contact, self.calendar)
