"""A new team's files: the project, and in it the road that it begins with, which runs as it is."""

import importlib.util
import keyword
import re
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import dagster as dg

from formats.durable import sync_directory
from formats.errors import DeclarationError
from formats.identifiers import uuid7

COMPONENT: Final = "platform_assets.components.TeamComponent"
ROAD: Final = "road"

_SAMPLE: Final = Path(__file__).with_name("sample")
_CODE: Final = ("contracts.py", "questions.py", "sources.py")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class TeamScaffolder(dg.Scaffolder[Any]):
    """`dg scaffold defs platform_assets.components.TeamComponent <folder>`: the first road of a project that has none."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the road's code into the project's package, and the YAML into the folder that was named.

        Raises:
            DeclarationError: the project has such code already, or what was asked for is not YAML.
        """
        if request.scaffold_format != "yaml" or request.append or request.project_root is None:
            raise DeclarationError(
                "declaration-invalid",
                f"{request.type_name} is scaffolded as a YAML file of its own in a project",
                "run `dg scaffold defs` in a team's folder, without --format python and --append",
            )
        team = _root_module(request.project_root)
        write_road(team, request.project_root / team, request.target_path)


def new_team(root: Path, team: str) -> Path:
    """Make `team_projects/<team>/` below `root`, whole or not at all; its path.

    Raises:
        DeclarationError: the name is no package's, is taken by a package, or the folder is there.
    """
    folder = root / "team_projects" / team
    _require_free(team, folder)
    beside = folder.with_name(f".{team}.{uuid7()}.tmp")
    package = beside / team
    try:
        (package / "defs" / ROAD).mkdir(parents=True)
        for name in ("pyproject.toml", "dagster.yaml"):
            (beside / name).write_text(_filled(f"{name}.template", team))
        (package / "__init__.py").write_text(f'"""Team {team}."""\n')
        (package / "defs" / "__init__.py").write_text('"""Components: a folder each, with its defs.yaml."""\n')
        shutil.copy(_SAMPLE / "definitions.py", package)
        write_road(team, package, package / "defs" / ROAD)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # there only if it did not become `folder`
    sync_directory(folder.parent)
    return folder


def write_road(team: str, package: Path, target: Path) -> None:
    """Write the sample's code into `package` and its YAML to `target`/defs.yaml. Raises DeclarationError before any overwriting."""
    _require_absent([package / name for name in _CODE] + [target / "defs.yaml"])
    for name in _CODE:
        shutil.copy(_SAMPLE / name, package)
    (target / "defs.yaml").write_text(_filled("defs.yaml.template", team))


def _filled(template: str, team: str) -> str:
    return (_SAMPLE / template).read_text().replace("COMPONENT", COMPONENT).replace("TEAM", team)


def _root_module(project: Path) -> str:
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    module: str = settings["tool"]["dg"]["project"]["root_module"]
    return module


def _require_free(team: str, folder: Path) -> None:
    if not _NAME.fullmatch(team) or keyword.iskeyword(team):
        raise DeclarationError(
            "declaration-invalid",
            f"{team!r} cannot be a team's name",
            "lower-case letters, digits and `_`, a letter first, at most 40: it names a Python package and begins every key",
        )
    _require_absent([folder])
    if importlib.util.find_spec(team) is not None:
        raise DeclarationError(
            "declaration-invalid",
            f"there is a Python package {team} already, which the team's would hide",
            "take another name",
        )


def _require_absent(paths: Iterable[Path]) -> None:
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise DeclarationError(
            "declaration-invalid",
            f"{', '.join(there)} would be overwritten",
            "take another name, or move away what is there",
        )
