"""workspace.yaml says what the folders say."""

from pathlib import Path

import pytest
import yaml

from platform_assets.cli import workspace

ROOT = Path(__file__).parents[2]


def add_team(root: Path, team: str) -> None:
    folder = root / "team_projects" / team / team
    folder.mkdir(parents=True)
    (folder / "definitions.py").touch()


def test_the_committed_file_is_current() -> None:
    assert workspace.is_current(ROOT), "run `python -m platform_assets.cli.workspace --write`"


def test_a_team_is_one_folder(tmp_path: Path) -> None:
    assert workspace.write(tmp_path)
    add_team(tmp_path, "rail")
    add_team(tmp_path, "aviation")
    assert not workspace.is_current(tmp_path)
    assert workspace.write(tmp_path)
    assert not workspace.write(tmp_path)
    locations = [
        entry["python_module"] for entry in yaml.safe_load((tmp_path / "workspace.yaml").read_text())["load_from"]
    ]
    assert [location["location_name"] for location in locations] == ["platform", "aviation", "rail"]
    assert locations[1] == {
        "module_name": "aviation.definitions",
        "working_directory": "team_projects/aviation",
        "location_name": "aviation",
    }


def test_only_a_package_of_the_same_name_is_a_team(tmp_path: Path) -> None:
    stray = tmp_path / "team_projects" / "rail" / "tests"
    stray.mkdir(parents=True)
    (stray / "definitions.py").touch()
    assert [location.name for location in workspace.locations(tmp_path)] == ["platform"]


@pytest.mark.parametrize(("arguments", "status"), [(["--check"], 1), (["--write"], 0), ([], 2)])
def test_as_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int) -> None:
    monkeypatch.chdir(tmp_path)
    assert workspace.main(arguments) == status


def test_dagster_reads_the_committed_file() -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    names = [origin.location_name for origin in location_origins_from_yaml_paths([str(ROOT / "workspace.yaml")])]
    assert names == [location.name for location in workspace.locations(ROOT)]
