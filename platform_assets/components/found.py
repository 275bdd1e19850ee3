"""The teams that a project declares in YAML, for commands that need no code location."""

from pathlib import Path

import dagster as dg
from dagster.components.core.component_tree import ComponentTreeException
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from formats.errors import DeclarationError, RoadbedError
from platform_assets.components.component import TeamComponent
from platform_assets.team import Team


def teams_in(project: Path) -> list[Team]:
    """The teams declared below the `defs` folder of `project`, which can be imported; none without that folder.

    Raises:
        DeclarationError: a declaration is wrong, with its place.
    """
    if not (project / project.name / "defs").is_dir():
        return []
    try:
        components = dg.ComponentTree.for_project(project).get_all_components(TeamComponent)
    except ComponentTreeException as error:
        meant = _meant(error)
        if meant is None:
            raise
        raise meant from error
    return [component.team for component in components]


def _meant(error: BaseException) -> RoadbedError | None:
    """What Dagster wrapped: Roadbed's error, or the file's shape as one; None if it is neither."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RoadbedError):
            return cause
        if isinstance(cause, ValidationError):
            told = "; ".join(map(_told, cause.errors()))
            return DeclarationError(
                "declaration-invalid", told, "mend what is named; `dg check yaml` knows names and types"
            )
        cause = cause.__cause__
    return None


def _told(found: ErrorDetails) -> str:
    """One of pydantic's findings, at the position that Dagster gave it."""
    position = found.get("ctx", {}).get("source_position")
    path = str(found["loc"][0]).partition(" at ")[0]
    where = f"{position.filename}:{position.start.line}:{position.start.col}: " if position is not None else ""
    return f"{where}{path}: {found['msg'].removeprefix('Value error, ')}"
