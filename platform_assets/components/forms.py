"""What a team's YAML may say: forms with the specs' own field names, and the specs themselves where they hold plain values.

References are names in the same file; code is a dotted path; durations are ISO 8601, as in `PT3H` and `P1D`. Where there is a
choice, its name is the key: `read: {files: {...}}`, `{mean: {column: delay, over: PT1H}}`. Rules stand with the specs alone.
"""

from datetime import date, timedelta
from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import ConfigDict, Field, model_validator

from formats.contract import WithoutStore
from formats.task import Binary
from platform_assets.calendar import Calendar
from platform_assets.components.fields import (
    SOUND,
    CardForm,
    Dotted,
    FileForm,
    GateForm,
    Maybe,
    RetrainingForm,
    TaskForm,
)
from platform_assets.contracts.outcomes import DefaultValue, LastGood
from platform_assets.datasets.cleaning import Deduplicate
from platform_assets.datasets.sampling import ClassWeights, Oversample, Undersample
from platform_assets.datasets.spec import LeakageBounds
from platform_assets.datasets.splits import GroupedSplit, KFold, RandomSplit, StratifiedSplit, TimeSplit, WalkForward
from platform_assets.features.aggregations import Count, Distinct, Last, Max, Mean, Min, Rate, Sum
from platform_assets.features.sources import PostgresSource
from platform_assets.features.spec import Entity
from platform_assets.monitoring.retraining import RetrainingRule
from platform_assets.training.transforms import Impute, OneHot, Scale, SelectBest
from platform_assets.tuning.spec import Direction, OneOf, Real, Sampler, Whole


class Form(dg.Model):
    """A part of the file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(Form):
    """Exactly one of its keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    @model_validator(mode="after")
    def _one(self) -> "Choice":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"write exactly one of {', '.join(type(self).model_fields)}; there are {len(given)}")
        return self

    @property
    def chosen(self) -> Any:  # noqa: ANN401 whatever its key stands for
        """The value of the key that is there."""
        return next(value for name in type(self).model_fields if (value := getattr(self, name)) is not None)


class DegradeForm(Choice):
    """What replaces a bad value."""

    last_good: Maybe[LastGood] = None
    default_value: Maybe[DefaultValue] = None


class ContractForm(Form):
    """A Contract; `schema` names the pandera model, `rules` name RowRules."""

    pandera: Dotted = Field(alias="schema")
    key: tuple[str, ...]
    event_time: Maybe[str] = None
    known_time: Maybe[str] = None
    version: int = 1
    on_breach: Literal["block", "quarantine"] = "block"
    outcomes: dict[str, Literal["block", "quarantine"] | DegradeForm] = Field(default_factory=dict)
    quarantine_limit: float = 0.05
    degrade_limit: float = 0.05
    rules: tuple[Dotted, ...] = ()
    until: Maybe[date] = None
    carries: tuple[str, ...] = ()


class ReadForm(Choice):
    """Where a table's rows come from: by day from files, Postgres or a function, or at once from one (`whole`)."""

    files: Maybe[FileForm] = None
    postgres: Maybe[PostgresSource] = None
    function: Maybe[Dotted] = None
    whole: Maybe[Dotted] = None


class RawTableForm(Form):
    """A RawTable."""

    name: str
    description: str
    contract: ContractForm
    read: ReadForm
    version_of: Maybe[str] = None
    settle: timedelta = timedelta()
    days_per_run: Maybe[int] = None


class SourceForm(Form):
    """A Source: `table` names a raw table."""

    table: str
    lookback_days: int = 0


class AggregationForm(Choice):
    """One aggregation over a window."""

    count: Maybe[Count] = None
    distinct: Maybe[Distinct] = None
    rate: Maybe[Rate] = None
    sum: Maybe[Sum] = None
    mean: Maybe[Mean] = None
    min: Maybe[Min] = None
    max: Maybe[Max] = None
    last: Maybe[Last] = None


class WindowsForm(Form):
    """What makes a WindowedView: aggregations of one raw table at the ticks of a grid."""

    source: SourceForm
    step: timedelta
    aggregates: dict[str, AggregationForm]
    placed_by: Literal["known", "event"] = "known"


class ComputedForm(Form):
    """What makes any other FeatureView: a function of raw tables."""

    sources: tuple[SourceForm, ...]
    compute: Dotted


class SqlForm(Form):
    """What makes a SqlView: one SELECT over raw tables."""

    sources: tuple[SourceForm, ...]
    query: str
    time_limit: timedelta = timedelta(minutes=10)


class ValuesForm(Choice):
    """How a view's features come to be."""

    windows: Maybe[WindowsForm] = None
    computed: Maybe[ComputedForm] = None
    sql: Maybe[SqlForm] = None


class ViewForm(Form):
    """A FeatureView; `entity` is a name."""

    name: str
    description: str
    entity: str
    contract: ContractForm
    values: ValuesForm
    time_to_live: timedelta
    version_of: Maybe[str] = None
    servable_within: Maybe[timedelta] = None
    days_per_run: Maybe[int] = None


class SpineForm(Form):
    """A Spine: `tables` are names of raw tables."""

    tables: tuple[str, ...]
    contract: ContractForm
    request: tuple[str, ...]
    compute: Dotted


class LabelForm(Form):
    """A LabelView: `entity` and `table` are names, `task` says what kind of answer it is: `{kind: multiclass, classes: [a, b]}`."""

    name: str
    entity: str
    table: str
    column: str
    delay: timedelta
    description: str = ""
    task: TaskForm = Field(default_factory=Binary)


class CleaningForm(Choice):
    """Which rows are left out before the set is stored: repeats, or those that a function does not keep."""

    deduplicate: Maybe[Deduplicate] = None
    keep: Maybe[Dotted] = None


class SplitForm(Choice):
    """What of the set validates while a model is trained."""

    time: Maybe[Annotated[TimeSplit, SOUND]] = None
    random: Maybe[Annotated[RandomSplit, SOUND]] = None
    stratified: Maybe[Annotated[StratifiedSplit, SOUND]] = None
    grouped: Maybe[Annotated[GroupedSplit, SOUND]] = None
    k_fold: Maybe[Annotated[KFold, SOUND]] = None
    walk_forward: Maybe[Annotated[WalkForward, SOUND]] = None


class AugmentForm(Form):
    """An Augment."""

    make: Dotted
    seed: int = 0


class SamplingForm(Choice):
    """What is done to the part that is learnt from."""

    undersample: Maybe[Annotated[Undersample, SOUND]] = None
    oversample: Maybe[Annotated[Oversample, SOUND]] = None
    class_weights: Maybe[ClassWeights] = None
    augment: Maybe[AugmentForm] = None


class TrainingSetForm(Form):
    """A TrainingSet: `views` are names."""

    spine: SpineForm
    label: LabelForm
    views: tuple[str, ...]
    history_months: int = 12
    cleaning: tuple[CleaningForm, ...] = ()
    split: SplitForm = SplitForm(time=TimeSplit())
    sampling: tuple[SamplingForm, ...] = ()
    leakage: LeakageBounds = LeakageBounds()


class TransformForm(Choice):
    """A step that is fitted on what is learnt from, between the raw numbers and the network."""

    impute: Maybe[Impute] = None
    scale: Maybe[Scale] = None
    one_hot: Maybe[Annotated[OneHot, SOUND]] = None
    select_best: Maybe[Annotated[SelectBest, SOUND]] = None


class TorchForm(Form):
    """A TorchTrainer: `build` makes the untrained module, as `platform_assets.linear_network` does."""

    build: Dotted
    transforms: tuple[TransformForm, ...] = ()
    refit: bool = True
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    patience: int = 2
    seed: int = 0
    threads: int = 1


class BoostingForm(Form):
    """What LightGBMTrainer and XGBoostTrainer have in common."""

    rounds: int = 400
    learning_rate: float = 0.05
    row_share: float = 1.0
    column_share: float = 1.0
    l1: float = 0.0
    patience: int = 30
    refit: bool = True
    transforms: tuple[TransformForm, ...] = ()
    seed: int = 0
    threads: int = 1


class LightGBMForm(BoostingForm):
    """A LightGBMTrainer."""

    leaves: int = 31
    least_rows: int = 20
    l2: float = 0.0


class XGBoostForm(BoostingForm):
    """An XGBoostTrainer."""

    depth: int = 6
    least_weight: float = 1.0
    gain: float = 0.0
    l2: float = 1.0


class SklearnForm(Form):
    """A SklearnTrainer: `estimator` is a class, as `sklearn.ensemble.HistGradientBoostingClassifier`, or a function."""

    estimator: Dotted
    parameters: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    refit: bool = True
    transforms: tuple[TransformForm, ...] = ()
    seed: int = 0
    threads: int = 1


class FunctionForm(Form):
    """A FunctionTrainer: `function` takes the training part, the validation part, `config` and `seed`."""

    function: Dotted
    config: dict[str, bool | int | float | str] = Field(default_factory=dict)
    seed: int = 0
    threads: int = 1


class TrainerForm(Choice):
    """A shipped kind of trainer with its settings, or a trainer that a module has (`object`)."""

    torch: Maybe[TorchForm] = None
    lightgbm: Maybe[LightGBMForm] = None
    xgboost: Maybe[XGBoostForm] = None
    sklearn: Maybe[SklearnForm] = None
    function: Maybe[FunctionForm] = None
    object: Maybe[Dotted] = None


class DomainForm(Choice):
    """What a searched setting may be."""

    whole: Maybe[Annotated[Whole, SOUND]] = None
    real: Maybe[Annotated[Real, SOUND]] = None
    one_of: Maybe[Annotated[OneOf, SOUND]] = None


class SearchForm(Form):
    """A Search: `space` by the names of the trainer's settings."""

    space: dict[str, DomainForm]
    trials: int = 20
    sampler: Sampler = "tpe"
    workers: int = 1
    measure: str = "validation_loss"
    direction: Maybe[Direction] = None
    split: Maybe[SplitForm] = None
    pruning: bool = False
    warm_up_trials: int = 4
    warm_up_steps: int = 1
    seed: int = 0


class ModelForm(Form):
    """A Model; its endpoint is deployed in `environment`, whose policy its `gates` come on top of."""

    name: str
    description: str
    training_set: TrainingSetForm
    trainer: TrainerForm
    gates: tuple[GateForm, ...] = ()
    baseline_by: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    card: Maybe[CardForm] = None
    measurements: dict[str, Dotted] = Field(default_factory=dict)
    environment: str = "prod"
    staging: str | None = "staging"
    retraining: RetrainingForm = RetrainingRule()
    search: Maybe[SearchForm] = None
    without_store: WithoutStore = "refuse"
    idle_after: Maybe[timedelta] = None


class TeamForm(Form):
    """A Team: everything that it owns, from raw tables to endpoints."""

    name: str
    contact: str
    calendar: Calendar
    entities: tuple[Entity, ...] = ()
    raw_tables: tuple[RawTableForm, ...] = ()
    views: tuple[ViewForm, ...] = ()
    models: tuple[ModelForm, ...] = ()
