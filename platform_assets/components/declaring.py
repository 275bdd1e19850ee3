"""From forms to specs. What is wrong is found by the specs; here it gets its place in the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platform_assets.components import forms
from platform_assets.components.place import Place
from platform_assets.contracts.outcomes import Outcome
from platform_assets.contracts.rules import RowRule
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.cleaning import Clean, Cleaning
from platform_assets.datasets.sampling import Augment, Sampling
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import Entity, FeatureView, RawTable, Source
from platform_assets.features.sql import SqlView
from platform_assets.features.windowed import WindowedView
from platform_assets.team import Model, Team
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.sklearn_trainer import SklearnTrainer
from platform_assets.training.spec import TorchTrainer
from platform_assets.training.trainer import Trainer
from platform_assets.training.xgboost_trainer import XGBoostTrainer
from platform_assets.tuning.spec import Search


@dataclass(frozen=True)
class Declared:
    """What the file declares so far, by name."""

    entities: Mapping[str, Entity]
    tables: Mapping[str, RawTable]
    views: Mapping[str, FeatureView]


def declared_team(form: forms.TeamForm, at: Place) -> Team:
    """The team of `form`.

    Raises:
        DeclarationError: a name or path leads nowhere, or a spec refuses what it is given; told with file, line and column.
    """
    entities = at.at("entities").by_name("entity", form.entities)
    raw = [_raw_table(table, at.at("raw_tables", number)) for number, table in enumerate(form.raw_tables)]
    tables = at.at("raw_tables").by_name("raw table", raw)
    known = Declared(entities, tables, {})
    made = [_view(view, known, at.at("views", number)) for number, view in enumerate(form.views)]
    known = Declared(entities, tables, at.at("views").by_name("view", made))
    models = [_model(model, known, at.at("models", number)) for number, model in enumerate(form.models)]
    return at.declare(
        Team,
        name=form.name,
        contact=form.contact,
        calendar=form.calendar,
        raw_tables=tuple(raw),
        views=tuple(made),
        models=tuple(models),
    )


def _contract(form: forms.ContractForm, at: Place) -> Contract:
    schema: Any = at.at("schema").imported(form.pandera)
    rules = tuple(_row_rule(path, at.at("rules", number)) for number, path in enumerate(form.rules))
    return at.declare(
        Contract,
        **_same(form, "pandera", "rules", "outcomes"),
        schema=schema,
        rules=rules,
        outcomes={name: _outcome(outcome) for name, outcome in form.outcomes.items()},
    )


def _row_rule(path: str, at: Place) -> RowRule:
    rule = at.imported(path)
    if not isinstance(rule, RowRule):
        at.refuse(f"{path} is {type(rule).__name__}", "name a RowRule")
    return rule


def _outcome(form: Any) -> Outcome:  # noqa: ANN401
    outcome: Outcome = form.chosen if isinstance(form, forms.DegradeForm) else form
    return outcome


def _raw_table(form: forms.RawTableForm, at: Place) -> RawTable:
    read, here = form.read, at.at("read")
    by_day = here.at("function").function(read.function) if read.function else read.files or read.postgres
    whole = here.at("whole").function(read.whole) if read.whole else None
    contract = _contract(form.contract, at.at("contract"))
    return at.declare(RawTable, **_same(form, "contract", "read"), contract=contract, read=by_day, read_whole=whole)


def _source(form: forms.SourceForm, known: Declared, at: Place) -> Source:
    return Source(at.at("table").find("raw table", form.table, known.tables), form.lookback_days)


def _sources(given: tuple[forms.SourceForm, ...], known: Declared, at: Place) -> tuple[Source, ...]:
    return tuple(_source(each, known, at.at("sources", number)) for number, each in enumerate(given))


def _view(form: forms.ViewForm, known: Declared, at: Place) -> FeatureView:
    common = _same(form, "contract", "entity", "values") | {
        "contract": _contract(form.contract, at.at("contract")),
        "entity": at.at("entity").find("entity", form.entity, known.entities),
    }
    if (windows := form.values.windows) is not None:
        source = _source(windows.source, known, at.at("values", "windows", "source"))
        aggregates = {name: aggregation.chosen for name, aggregation in windows.aggregates.items()}
        same = _same(windows, "source", "aggregates")
        return at.declare(WindowedView, **common, **same, source=source, aggregates=aggregates)
    if (query := form.values.sql) is not None:
        sources = _sources(query.sources, known, at.at("values", "sql"))
        return at.declare(SqlView, **common, **_same(query, "sources", "query"), sources=sources, sql=query.query)
    here, computed = at.at("values", "computed"), form.values.chosen
    sources = _sources(computed.sources, known, here)
    return at.declare(FeatureView, **common, sources=sources, compute=here.at("compute").function(computed.compute))


def _training_set(form: forms.TrainingSetForm, known: Declared, at: Place) -> TrainingSet:
    views = tuple(at.at("views", number).find("view", name, known.views) for number, name in enumerate(form.views))
    return at.declare(
        TrainingSet,
        spine=_spine(form.spine, known, at.at("spine")),
        label=_label(form.label, known, at.at("label")),
        views=views,
        history_months=form.history_months,
        cleaning=tuple(_cleaning(rule, at.at("cleaning", number)) for number, rule in enumerate(form.cleaning)),
        split=form.split.chosen,
        sampling=tuple(_sampling(sample, at.at("sampling", number)) for number, sample in enumerate(form.sampling)),
        leakage=form.leakage,
    )


def _label(form: forms.LabelForm, known: Declared, at: Place) -> LabelView:
    return at.declare(
        LabelView,
        **_same(form, "entity", "table"),
        entity=at.at("entity").find("entity", form.entity, known.entities),
        table=at.at("table").find("raw table", form.table, known.tables),
    )


def _cleaning(form: forms.CleaningForm, at: Place) -> Cleaning:
    return form.deduplicate or Clean(at.at("keep").function(str(form.keep)))


def _sampling(form: forms.SamplingForm, at: Place) -> Sampling:
    if form.augment is not None:
        make = at.at("augment", "make").function(form.augment.make)
        return at.declare(Augment, make, form.augment.seed)
    sampling: Sampling = form.chosen
    return sampling


def _spine(form: forms.SpineForm, known: Declared, at: Place) -> Spine:
    found = [at.at("tables", number).find("raw table", name, known.tables) for number, name in enumerate(form.tables)]
    return at.declare(
        Spine,
        tables=tuple(found),
        contract=_contract(form.contract, at.at("contract")),
        request=form.request,
        compute=at.at("compute").function(form.compute),
    )


# The kinds of trainers by their key, and the field of each that names code.
_TRAINERS: dict[str, tuple[type[Trainer], str | None]] = {
    "torch": (TorchTrainer, "build"),
    "lightgbm": (LightGBMTrainer, None),
    "xgboost": (XGBoostTrainer, None),
    "sklearn": (SklearnTrainer, "estimator"),
    "function": (FunctionTrainer, "function"),
}


def _trainer(form: forms.TrainerForm, at: Place) -> Trainer:
    for kind, (spec, code) in _TRAINERS.items():
        if (settings := getattr(form, kind)) is not None:
            return _shipped(spec, code, settings, at.at(kind))
    trainer = at.at("object").imported(form.chosen)
    if not isinstance(trainer, Trainer):
        at.refuse(f"{form.chosen} is {type(trainer).__name__}", "name a Trainer")
    return trainer


def _shipped(spec: type[Trainer], code: str | None, form: forms.Form, at: Place) -> Trainer:
    given = _same(form)
    if code is not None:
        given[code] = at.at(code).function(given[code])
    if "transforms" in given:
        given["transforms"] = tuple(transform.chosen for transform in given["transforms"])
    return at.declare(spec, **given)


def _search(form: forms.SearchForm, at: Place) -> Search:
    space = {name: domain.chosen for name, domain in form.space.items()}
    split = None if form.split is None else form.split.chosen
    return at.declare(Search, **_same(form, "space", "split"), space=space, split=split)


def _model(form: forms.ModelForm, known: Declared, at: Place) -> Model:
    measurements = {name: at.at("measurements", name).function(path) for name, path in form.measurements.items()}
    return at.declare(
        Model,
        **_same(form, "training_set", "trainer", "measurements", "search"),
        training_set=_training_set(form.training_set, known, at.at("training_set")),
        trainer=_trainer(form.trainer, at.at("trainer")),
        measurements=measurements,
        search=None if form.search is None else _search(form.search, at.at("search")),
    )


def _same(form: forms.Form, *other: str) -> dict[str, Any]:
    """The fields that are called alike and mean the same in the spec: all but `other`."""
    return {name: getattr(form, name) for name in type(form).model_fields if name not in other}
