"""What is wrong in a team's YAML is told with file, line and column, and the rule that it breaks."""

from pathlib import Path
from typing import NamedTuple

import pytest

from formats.errors import DeclarationError
from platform_assets.components.found import teams_in
from platform_assets.components.place import Place

TEAM = "drizzle"


def yaml_of(project: Path) -> Path:
    return project / TEAM / "defs" / "road" / "defs.yaml"


class Mistake(NamedTuple):
    """`old` becomes `new`; what stands at the place that is named; what is said."""

    old: str
    new: str
    at: str
    said: str


MISTAKES = {
    "a date": Mistake("2013-01-01", "Januar", "first_day:", "attributes.calendar.first_day: Input should be a valid date"),
    "a duration": Mistake("step: PT1H", "step: hourly", "step:", "windows.step: Input should be a valid duration"),
    "an unknown key": Mistake("time_to_live", "ttl", "ttl:", "attributes.views.0.ttl: Extra inputs are not permitted"),
    "an unknown key of a spec": Mistake("decimals: 2", "digits: 2", "digits:", "mean.digits: Unexpected keyword argument"),
    "two choices": Mistake(
        "{last: {column: humid, over: PT1H}}",
        "{last: {column: humid, over: PT1H}, min: {column: humid, over: PT1H}}",
        "humid_1h:",
        "humid_1h: write exactly one of count, distinct,",
    ),
    "no choice": Mistake(
        "read: {function: drizzle.sources.read_showers}", "read: {}", "read: {}", "there are 0"
    ),
    "an entity": Mistake("entity: origin", "entity: airport", "entity: airport", "there is no entity 'airport' in this file"),
    "a table": Mistake("{table: readings}", "{table: reading}", "table: reading}", "there is no raw table 'reading'"),
    "a label's table": Mistake("table: showers, column", "table: rain, column", "table: rain", "there is no raw table 'rain'"),
    "a view": Mistake("views: [recent_weather]", "views: [recent]", "recent]", "there is no view 'recent'"),
    "a function": Mistake(
        "sources.read_showers", "sources.read_rain", "function: drizzle.sources.read_rain", "drizzle.sources has no read_rain"
    ),
    "a module": Mistake(
        "drizzle.questions.questions", "drizzle.asking.questions", "compute:", "names the module drizzle.asking, which is not there"
    ),
    "no function": Mistake(
        "build: platform_assets.linear_network", "build: drizzle.contracts.AIRPORTS", "build:", "is tuple and cannot be called"
    ),
    "a contract's rule": Mistake("key: [origin]", "key: [airport]", "contract:", "contract Readings names"),
    "a view's rule": Mistake("column: humid, over: PT1H", "column: humidity, over: PT1H", "name: recent_weather",
        "its source readings has no columns ['humidity']"),
    "a training set's rule": Mistake("request: [origin, hour]", "request: [origin, day]", "training_set:",
        "the request has the columns"),
    "a gate's kind": Mistake("gate: metric_floor", "gate: metric_flor", "{gate: metric_flor", "Invalid value 'metric_flor'"),
    "a gate's field": Mistake("minimum: 0.8", "minimum: high", "{gate: metric_floor", "Expected `float`, got `str`"),
    "a gate's rule": Mistake("baseline: group_rate, by: [origin, hour]", "baseline: group_rate", "{gate: better_than_baseline",
        "group_rate, and it alone, takes columns"),
    "a name twice": Mistake("name: showers", "name: readings", "name: readings\n      description: Wh", "a second raw table"),
    "a team's rule": Mistake("name: shower\n", "name: showers\n", "attributes:", "declares ['showers'] more than once"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(mistake: Mistake, project: Path) -> None:
    path = yaml_of(project)
    text = path.read_text()
    assert mistake.old in text
    text = text.replace(mistake.old, mistake.new, 1)
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        teams_in(project)
    assert mistake.said in caught.value.message
    before = text[: text.index(mistake.at)]
    position = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert f"{path}:{position}: attributes" in caught.value.message
    assert caught.value.code == "declaration-invalid"


def test_the_sample_is_a_team(project: Path) -> None:
    (team,) = teams_in(project)
    assert [table.name for table in team.raw_tables] == ["readings", "showers"]
    assert team.models[0].endpoint(team.name) == "drizzle/shower/prod/endpoint"


def test_a_project_without_yaml_has_no_teams(tmp_path: Path) -> None:
    assert teams_in(tmp_path) == []


def test_an_import_that_fails_inside_of_a_module_shows_itself(project: Path) -> None:
    (project / TEAM / "questions.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(Exception, match="Error while loading component") as caught:
        teams_in(project)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_without_a_document_the_keys_are_the_place() -> None:
    with pytest.raises(DeclarationError, match=r"attributes\.models\.0: it is wrong"):
        Place(None, ("attributes",)).at("models", 0).refuse("it is wrong", "mend it")
