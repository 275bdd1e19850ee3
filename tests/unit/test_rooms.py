"""A team is one folder: its modules import the public API alone, nobody imports them, and no list names the team."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import platform_assets
from tests.support.processes import ROOT

ROOMS = ("formats", "serving", "resources", "io_managers", "platform_assets")
TEAMS = [path.parent for path in sorted((ROOT / "team_projects").glob("*/pyproject.toml"))]
NAMES = {team.name for team in TEAMS}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Each imported module, with the name that is taken from it (empty: the module itself)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide where a name comes from"
            yield from ((str(node.module), alias.name) for alias in node.names)


def foreign(path: Path, team: str) -> list[tuple[str, str]]:
    """What `path` imports of the rooms beyond the public API, or of other teams."""
    public = {("platform_assets", name) for name in platform_assets.__all__}
    closed = {*ROOMS, *NAMES} - {team}
    return [found for found in imported(path) if found[0].split(".")[0] in closed and found not in public]


@pytest.mark.parametrize("team", TEAMS, ids=lambda team: team.name)
def test_a_team_imports_the_public_api_alone(team: Path) -> None:
    modules = sorted((team / team.name).rglob("*.py"))
    assert modules
    assert {str(path): found for path in modules if (found := foreign(path, team.name))} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_a_team(room: str) -> None:
    modules = sorted((ROOT / room).rglob("*.py"))
    assert modules
    assert [str(path) for path in modules for module, _ in imported(path) if module.split(".")[0] in NAMES] == []


@pytest.mark.parametrize(
    "line",
    ["import formats.home", "from platform_assets.team import Team", "from platform_assets import team"],
)
def test_what_a_team_may_not_import_is_found(tmp_path: Path, line: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(f"import polars\nfrom platform_assets import Contract\n{line}\n")
    assert len(foreign(module, "aviation")) == 1
