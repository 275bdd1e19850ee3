"""A new team's folder: whole or not at all, and never over something that is there."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from formats.errors import DeclarationError
from platform_assets.cli import workspace
from platform_assets.components import TeamComponent, scaffolding
from platform_assets.components.scaffolding import COMPONENT, TeamScaffolder, new_team


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


FILES = [
    "dagster.yaml",
    "drizzle/__init__.py",
    "drizzle/contracts.py",
    "drizzle/definitions.py",
    "drizzle/defs/__init__.py",
    "drizzle/defs/road/defs.yaml",
    "drizzle/questions.py",
    "drizzle/sources.py",
    "pyproject.toml",
]


def request(project: Path, **changes: object) -> dg.ScaffoldRequest[object]:
    target = project / "drizzle" / "defs" / "again"
    asked = {
        "type_name": COMPONENT,
        "target_path": target,
        "scaffold_format": "yaml",
        "project_root": project,
        "params": None,
    }
    return dg.ScaffoldRequest(**{**asked, **changes})  # type: ignore[arg-type]


def test_a_new_team_is_one_folder(tmp_path: Path) -> None:
    folder = new_team(tmp_path, "drizzle")
    assert files_of(tmp_path / "team_projects") == [f"drizzle/{name}" for name in FILES]
    assert [location.name for location in workspace.locations(tmp_path)] == ["platform", "drizzle"]
    assert not [path for path in folder.rglob("*") if path.is_file() and "TEAM" in path.read_text()]
    document = yaml.safe_load((folder / "drizzle" / "defs" / "road" / "defs.yaml").read_text())
    assert document["type"] == COMPONENT == f"{TeamComponent.__module__.rpartition('.')[0]}.{TeamComponent.__name__}"


@pytest.mark.parametrize("name", ["Rail", "rail-road", "1st", "", "../rail", "a" * 41])
def test_a_name_that_is_no_packages_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="cannot be a team's name"):
        new_team(tmp_path, name)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", ["json", "aviation", "platform_assets", "class"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"cannot be a team's name|there is a Python package"):
        new_team(tmp_path, name)
    assert list(tmp_path.rglob("*")) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    here = tmp_path / "team_projects" / "drizzle" / "notes.txt"
    here.parent.mkdir(parents=True)
    here.write_text("mine")
    with pytest.raises(DeclarationError, match="drizzle would be overwritten"):
        new_team(tmp_path, "drizzle")
    assert files_of(tmp_path) == ["team_projects/drizzle/notes.txt"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(scaffolding, "write_road", fail)
    with pytest.raises(OSError, match="no space left"):
        new_team(tmp_path, "drizzle")
    assert files_of(tmp_path) == []
    assert list((tmp_path / "team_projects").iterdir()) == []


def test_a_project_without_a_road_gets_one(tmp_path: Path) -> None:
    project = new_team(tmp_path, "drizzle")
    for name in ("contracts.py", "questions.py", "sources.py"):
        (project / "drizzle" / name).unlink()
    (project / "drizzle" / "defs" / "again").mkdir()
    TeamScaffolder().scaffold(request(project))
    assert files_of(project) == sorted([*FILES, "drizzle/defs/again/defs.yaml"])


def test_a_project_with_code_keeps_it(tmp_path: Path) -> None:
    project = new_team(tmp_path, "drizzle")
    mine = project / "drizzle" / "sources.py"
    mine.write_text("mine")
    with pytest.raises(DeclarationError, match="would be overwritten"):
        TeamScaffolder().scaffold(request(project))
    assert mine.read_text() == "mine"
    assert files_of(project) == FILES


@pytest.mark.parametrize("changes", [{"scaffold_format": "python"}, {"append": True}, {"project_root": None}])
def test_only_a_yaml_file_of_its_own_is_scaffolded(changes: dict[str, object], tmp_path: Path) -> None:
    project = new_team(tmp_path, "drizzle")
    with pytest.raises(DeclarationError, match="a YAML file of its own"):
        TeamScaffolder().scaffold(request(project, **changes))
