"""`roadbed contracts`: what teams declare about their tables against what they have published."""

import importlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from formats.clock import read_now
from formats.errors import DeclarationError
from platform_assets.cli.quiet import quiet
from platform_assets.cli.site import find_root, find_site
from platform_assets.cli.workspace import PLATFORM, locations

if TYPE_CHECKING:
    from platform_assets.contracts.evolution import Difference, Evolution
    from platform_assets.contracts.windows import Window
    from platform_assets.team import Team


class Found(NamedTuple):
    """What is to be said about one team."""

    evolution: "Evolution"
    windows: "tuple[Window, ...]"

    @property
    def wrong(self) -> bool:
        """Whether something is refused, or stands although its time is over."""
        return bool(self.evolution.refused) or any(window.over for window in self.windows)


def diff(json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False) -> None:
    """Show what differs from what is published, and whom it reaches.

    Exit status 2 when something is refused, or a version stands after its last day by the installation's clock.
    """
    site = find_site()
    now = read_now(site.home.clock)
    found = [_found(team, folder, now) for team, folder in teams(site.root)]
    if json:
        documents = [{**msgspec.to_builtins(each.evolution), "windows": each.windows} for each in found]
        print(msgspec.json.format(msgspec.json.encode(documents)).decode())
    else:
        lines = [line for each in found for line in _lines(each)]
        print("\n".join(lines or ["current  everything is published as it is declared"]))
    if any(each.wrong for each in found):
        raise typer.Exit(2)


def _found(team: "Team", folder: Path, now: datetime) -> Found:
    from platform_assets.contracts.evolution import evolution
    from platform_assets.contracts.published import FOLDER, read_published
    from platform_assets.contracts.windows import windows

    published = read_published(folder / FOLDER)
    return Found(evolution(team, published), windows(team, published, now))


def publish(
    names: Annotated[
        list[str] | None, typer.Argument(help="<team>/<table, view or model>; all when none is named.")
    ] = None,
) -> None:
    """Write contracts and readings as they are declared into the teams' folders, to be committed with the code."""
    from platform_assets.contracts.published import FOLDER
    from platform_assets.contracts.publishing import publish as write

    declared = list(teams(find_root()))
    wanted = set(names or ())
    _require_teams(wanted, {team.name for team, _ in declared})
    for team, folder in declared:
        mine = {name for name in wanted if name.partition("/")[0] == team.name}
        if mine or not wanted:
            written = write(team, folder / FOLDER, mine)
            print(
                "\n".join(f"written  {path.relative_to(folder.parent)}" for path in written) or f"current  {team.name}"
            )


def teams(root: Path, only: str | None = None) -> Iterator[tuple["Team", Path]]:
    """Each team of the checkout, or the one in the folder `only`, with its folder.

    Raises:
        DeclarationError: a team is not declared exactly once, by its module of definitions or in YAML.
    """
    for location in locations(root):
        if location.module != PLATFORM and only in {None, location.name}:
            folder = root / location.folder
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            yield _team(_imported(location.module), folder), folder


def _imported(module: str) -> ModuleType:
    with quiet():
        return importlib.import_module(module)


def _team(module: ModuleType, folder: Path) -> "Team":
    with quiet():
        from platform_assets.components.found import teams_in
    from platform_assets.team import Team

    named = {id(value): value for value in vars(module).values() if isinstance(value, Team)}
    found = list(named.values()) or teams_in(folder)
    if len(found) != 1:
        raise DeclarationError(
            "declaration-invalid",
            f"{module.__name__} has {len(found)} names of a Team, and {Path(str(module.__file__)).name} must have one",
            "import or declare the team there, under one name of the module, or in YAML below defs/",
        )
    return found[0]


def _require_teams(names: set[str], known: set[str]) -> None:
    unknown = sorted(name for name in names if name.partition("/")[0] not in known)
    if unknown:
        raise DeclarationError(
            "declaration-invalid",
            f"{', '.join(unknown)} belongs to no team of this checkout",
            f"write <team>/<name>, with one of the teams {sorted(known)}",
        )


def _lines(found: Found) -> Iterator[str]:
    for difference in found.evolution.differences:
        yield from _told(difference)
    for reading in found.evolution.unpublished:
        yield f"reads    {reading.consumer} reads {len(reading.columns)} columns of {reading.table}, which is not published"
    for window in found.windows:
        yield f"{window.version}  {'was to end' if window.over else 'ends'} on {window.until}"
        yield from (f"  reader    {reading.kind} {reading.consumer}" for reading in window.readers)
        if window.over:
            yield f"  next      {_next(window)}"


def _next(window: "Window") -> str:
    names = ", ".join(reading.consumer for reading in window.readers)
    return f"let {names} go over to the newer version" if names else "nobody reads it: take its declaration away"


def _told(difference: "Difference") -> Iterator[str]:
    since = f"@{difference.since}" if difference.since else ""
    now = (
        f" -> @{difference.now}"
        if difference.since and difference.now
        else f"@{difference.now}"
        if difference.now
        else ""
    )
    yield f"{difference.table}{since}{now}  {difference.state}, {difference.level}"
    for change in difference.changes:
        yield f"  {change.level:<9} {change.column or 'table'}: {change.told}"
    for reading in difference.consumers:
        yield f"  reached   {reading.kind} {reading.consumer} reads {reading.table}"
    if difference.refused:
        yield f"  refused   {difference.refused}"
        yield f"  next      {difference.hint}"
