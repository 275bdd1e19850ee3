"""The component as Dagster and `dg` see it: loaded from the folder it is the same graph, and its schema knows the file."""

import importlib
import json
from pathlib import Path

import dagster as dg
import pytest
from dagster_shared.yaml_utils import parse_yaml_with_source_position
from jsonschema import Draft202012Validator

from formats.errors import DeclarationError
from platform_assets.code_location import team_definitions
from platform_assets.components import TeamComponent, forms
from platform_assets.components.found import teams_in
from tests.graph.snapshot import _location

AVIATION = Path(__file__).with_name("aviation.yaml")
SCHEMA = Draft202012Validator(forms.TeamForm.model_json_schema())


def attributes(path: Path) -> dict[str, object]:
    found: dict[str, object] = parse_yaml_with_source_position(path.read_text(), str(path)).value["attributes"]
    return found


def found_in(document: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in SCHEMA.iter_errors(document)]


def test_loaded_by_dagster_the_graph_is_that_of_the_specs(project: Path) -> None:
    (team,) = teams_in(project)
    loaded = importlib.import_module("drizzle.definitions").defs(None)
    assert json.dumps(_location(loaded), sort_keys=True) == json.dumps(
        _location(team_definitions(team)), sort_keys=True
    )


def test_dg_finds_the_component_in_the_module_that_projects_name(project: Path) -> None:
    from dagster.components.core.package_entry import discover_package_objects

    (found,) = discover_package_objects(["platform_assets.components"]).values()
    assert found is TeamComponent
    assert 'registry_modules = ["platform_assets.components"]' in (project / "pyproject.toml").read_text()


def test_the_schema_takes_what_is_right(project: Path) -> None:
    assert found_in(attributes(AVIATION)) == []
    assert found_in(attributes(project / "drizzle" / "defs" / "road" / "defs.yaml")) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("minimum: 0.70", "minimum: high", "$.models[0].gates[0].minimum: 'high' is not of type 'number'"),
        ("gate: metric_floor", "gate: metric_flor", "$.models[0].gates[0].gate: 'metric_flor' is not one of"),
        ("step: PT1H", "stride: PT1H", "$.views[2].values.windows: Additional properties are not allowed ('stride'"),
        ("{table: weather}", "{}", "$.views[0].values.computed.sources[0]: 'table' is a required property"),
        (
            "aviation.sources.read_weather",
            "read_weather",
            "$.raw_tables[2].read.function: 'read_weather' does not match",
        ),
        ("{whole: aviation.sources.read_planes}", "{}", "$.raw_tables[3].read: {} should be non-empty"),
    ],
)
def test_the_schema_names_what_is_wrong(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = AVIATION.read_text()
    assert old in text
    path = tmp_path / "defs.yaml"
    path.write_text(text.replace(old, new, 1))
    assert any(told.startswith(said) for told in found_in(attributes(path)))


def test_the_schema_explains_fields_by_the_specs_own_words() -> None:
    described = forms.TeamForm.model_json_schema()["$defs"]["Mean"]["description"]
    assert described == forms.Mean.__doc__


def test_a_component_without_attributes_is_told_so() -> None:
    with pytest.raises(DeclarationError, match="the component has no attributes"):
        TeamComponent.load(None, dg.ComponentTree.for_test().load_context)
