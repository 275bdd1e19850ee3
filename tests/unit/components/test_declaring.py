"""A team in YAML is the team in Python: equal specs, an equal graph."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
from aviation.team import TEAM
from dagster_shared.yaml_utils import parse_yaml_with_source_position
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from formats.errors import DeclarationError
from platform_assets.code_location import team_definitions
from platform_assets.components import forms
from platform_assets.components.component import TeamComponent
from platform_assets.components.declaring import _trainer, declared_team
from platform_assets.components.place import Place
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import FeatureView, RawTable, Source
from platform_assets.features.sql import SqlView
from platform_assets.features.windowed import WindowedView
from platform_assets.team import Model, Team
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.sklearn_trainer import SklearnTrainer
from platform_assets.training.spec import TorchTrainer
from platform_assets.training.transforms import Impute, OneHot
from platform_assets.training.xgboost_trainer import XGBoostTrainer
from platform_assets.tuning.spec import Search
from tests.graph.snapshot import _location

YAML = Path(__file__).with_name("aviation.yaml")

FORMS = {
    Contract: forms.ContractForm,
    RawTable: forms.RawTableForm,
    Source: forms.SourceForm,
    FeatureView: forms.ViewForm,
    WindowedView: forms.ViewForm,
    Spine: forms.SpineForm,
    LabelView: forms.LabelForm,
    TrainingSet: forms.TrainingSetForm,
    TorchTrainer: forms.TorchForm,
    LightGBMTrainer: forms.LightGBMForm,
    XGBoostTrainer: forms.XGBoostForm,
    SklearnTrainer: forms.SklearnForm,
    FunctionTrainer: forms.FunctionForm,
    Search: forms.SearchForm,
    Model: forms.ModelForm,
    Team: forms.TeamForm,
}
BY_VALUES = {"sources", "compute", "source", "step", "aggregates", "placed_by"}


@pytest.fixture(scope="module")
def team() -> Team:
    document = parse_yaml_with_source_position(YAML.read_text(), str(YAML))
    form = forms.TeamForm.model_validate(document.value["attributes"])
    return declared_team(form, Place(document.source_position_tree, ("attributes",)))


def plain(spec: Any) -> Any:
    """A spec as nested values, in which functions and classes are themselves."""
    if dataclasses.is_dataclass(spec) and not isinstance(spec, type):
        # What such a view derives from its other fields is bound to it.
        fields = [
            field
            for field in dataclasses.fields(spec)
            if not (isinstance(spec, WindowedView | SqlView) and field.name == "compute")
        ]
        # Where a statement's lines begin is no part of it.
        given = {field.name: getattr(spec, field.name) for field in fields}
        return type(spec), {name: given[name].split() if name == "sql" else plain(given[name]) for name in given}
    if isinstance(spec, msgspec.Struct):
        return type(spec), msgspec.structs.asdict(spec)
    if isinstance(spec, Mapping):
        return {name: plain(value) for name, value in spec.items()}
    return tuple(map(plain, spec)) if isinstance(spec, tuple) else spec


def test_the_specs_are_equal(team: Team) -> None:
    assert plain(team) == plain(TEAM)


def test_what_is_named_twice_is_one_object(team: Team) -> None:
    tables = {table.name: table for table in team.raw_tables}
    dataset = team.models[0].training_set
    assert all(source.table is tables[source.table.name] for view in team.views for source in view.sources)
    views = {view.name: view for view in team.views}
    assert all(view is views[view.name] for view in dataset.views)
    assert dataset.label.table is tables["outcomes"]


def test_the_graphs_are_equal(team: Team) -> None:
    assert _location(TeamComponent(team).build_defs(dg.ComponentTree.for_test().load_context)) == _location(
        team_definitions(TEAM)
    )


@pytest.mark.parametrize("spec", FORMS, ids=lambda spec: spec.__name__)
def test_a_form_has_every_field_of_its_spec(spec: type) -> None:
    form = FORMS[spec]
    fields = {field.name: field for field in dataclasses.fields(spec)}
    if form is forms.ViewForm:
        fields = {name: field for name, field in fields.items() if name not in BY_VALUES}
    known = {(info.alias or name): info for name, info in form.model_fields.items()}
    # One key of the form says how to read, by the day or whole.
    told = {name: field for name, field in fields.items() if name not in ("read", "read_whole")}
    assert {*told, *({"read"} & {*fields})} <= {*known}
    for name, field in told.items():
        default = known[name].get_default(call_default_factory=True)
        if field.default is not dataclasses.MISSING:
            assert default == field.default, name
        elif field.default_factory is not dataclasses.MISSING:
            assert (default.chosen if isinstance(default, forms.Choice) else default) == field.default_factory(), name


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("lightgbm: {rounds: 50, leaves: 7}", LightGBMTrainer(rounds=50, leaves=7)),
        (
            "xgboost: {depth: 3, transforms: [{impute: {indicator: true}}, {one_hot: {columns: [carrier]}}]}",
            XGBoostTrainer(depth=3, transforms=(Impute(indicator=True), OneHot(("carrier",)))),
        ),
        (
            "sklearn: {estimator: sklearn.linear_model.LogisticRegression, parameters: {C: 0.5, max_iter: 500}}",
            SklearnTrainer(LogisticRegression, {"C": 0.5, "max_iter": 500}),
        ),
        ("function: {function: math.hypot, config: {rounds: 9}}", FunctionTrainer(math.hypot, {"rounds": 9})),
    ],
    ids=["lightgbm", "xgboost", "sklearn", "function"],
)
def test_every_kind_of_trainer_can_be_written(written: str, declared: Any) -> None:
    document = parse_yaml_with_source_position(written, "trainer.yaml")
    form = forms.TrainerForm.model_validate(document.value)
    assert plain(_trainer(form, Place(document.source_position_tree, ()))) == plain(declared)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("lightgbm: {leaves: 1}", "leaves is 1 and must be at least 2"),
        ("lightgbm: {leafs: 7}", "leafs"),
        ("{lightgbm: {}, xgboost: {}}", "exactly one of"),
        ("object: math.pi", "name a Trainer"),
    ],
)
def test_a_trainer_that_makes_no_sense_is_refused(written: str, told: str) -> None:
    document = parse_yaml_with_source_position(written, "trainer.yaml")
    with pytest.raises((DeclarationError, ValidationError), match=told):
        _trainer(forms.TrainerForm.model_validate(document.value), Place(document.source_position_tree, ()))


def test_the_windows_of_a_form_are_those_of_a_windowed_view() -> None:
    assert {*forms.WindowsForm.model_fields, *forms.ComputedForm.model_fields} == BY_VALUES
    assert {*forms.SqlForm.model_fields} == {"sources", "query", "time_limit"}
