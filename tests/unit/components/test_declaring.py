"""A team in YAML is the team in Python: equal specs, an equal graph."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
from aviation.team import TEAM
from dagster_shared.yaml_utils import parse_yaml_with_source_position

from platform_assets.code_location import team_definitions
from platform_assets.components import forms
from platform_assets.components.component import TeamComponent
from platform_assets.components.declaring import declared_team
from platform_assets.components.place import Place
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.spec import Spine, TrainingSet
from platform_assets.features.labels import LabelView
from platform_assets.features.spec import FeatureView, RawTable, Source
from platform_assets.features.sql import SqlView
from platform_assets.features.windowed import WindowedView
from platform_assets.team import Model, Team
from platform_assets.training.spec import TorchTrainer
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
    assert set(fields) - {"read_whole"} <= set(known)
    for name, field in fields.items():
        if field.default is not dataclasses.MISSING and name not in ("read", "read_whole"):
            assert known[name].default == field.default, name
        elif field.default_factory is not dataclasses.MISSING:
            default = known[name].get_default(call_default_factory=True)
            assert (default.chosen if isinstance(default, forms.Choice) else default) == field.default_factory(), name


def test_the_windows_of_a_form_are_those_of_a_windowed_view() -> None:
    assert {*forms.WindowsForm.model_fields, *forms.ComputedForm.model_fields} == BY_VALUES
    assert {*forms.SqlForm.model_fields} == {"sources", "query"}
