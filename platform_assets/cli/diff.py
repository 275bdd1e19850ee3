"""`roadbed diff`: what two releases or bundles differ in."""

from typing import Annotated

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.table import Column, Table

from platform_assets.cli.site import find_site
from platform_assets.cli.tables import console, plain, plain_lines
from platform_assets.promotion.difference import Change, Difference, difference
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.facts import Fact, Side
from resources.installation import installation_at


def command(
    a: Annotated[str, typer.Argument(help="A digest or its beginning, <endpoint>, or <endpoint>@<number>.")],
    b: Annotated[str, typer.Argument(help="The other one.")],
    json: Annotated[bool, typer.Option("--json", help="As one JSON document, with what is equal.")] = False,
) -> None:
    """Say what two releases or bundles differ in: data, code, config, metrics, columns, gates. Status 2 if a digest is false."""
    home = find_site(None).home
    found = difference(evidence_of(home), installation_at(home), a, b)
    if json:
        typer.echo(msgspec.json.encode(found))
    else:
        console().print(render(found))
    if not found.verified:
        raise typer.Exit(2)


def render(found: Difference) -> RenderableType:
    """What differs as a table by section; how much is equal stands beside the section's name."""
    a, b = (Column(_title(side), overflow="fold") for side in (found.a, found.b))
    table = Table("what", a, b, "difference")
    for section, changes in found.sections.items():
        differing = [change for change in changes if not change.same]
        table.add_row(f"[bold]{section}[/]", "", "", f"{len(changes) - len(differing)} equal", style="dim")
        for change in differing:
            table.add_row(*_row(change))
        table.add_section()
    lines = [f"A: {plain(problem)}" for problem in found.a.problems]
    lines += [f"B: {plain(problem)}" for problem in found.b.problems]
    lines += [f"ledger: {plain(finding)}" for finding in found.findings]
    return Group(table, *(f"[red]BROKEN[/]  {line}" for line in lines), *_commits(found))


def _title(side: Side) -> str:
    what = f"release {side.release[:19]} of " if side.release else ""
    return plain(f"{what}{side.bundle[:19]}, {side.model}[{side.partition}]")


def _row(change: Change) -> tuple[str, ...]:
    by = "" if change.difference is None else f"{change.difference:+.6g}"
    return (plain(f"  {change.what}"), _text(change.a), _text(change.b), by)


def _text(fact: Fact) -> str:
    return "-" if fact is None else plain(f"{fact:.6g}" if isinstance(fact, float) else str(fact))


def _commits(found: Difference) -> list[str]:
    if found.commits is None:
        return ["the commits are not both in this repository"]
    return [plain_lines(found.commits)] if found.commits else []
