"""`roadbed replay`: a decision weighed again from what was recorded; or past promotions under another policy."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.table import Column, Table

from platform_assets.cli.site import find_site
from platform_assets.cli.tables import console, plain
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.policy import parse_policy
from platform_assets.promotion.replay import Replay, replay
from platform_assets.promotion.review import Outcome, Reviewed, review
from platform_assets.promotion.spec import GateResult

_COLOURS: dict[Outcome, str] = {"stands": "green", "stopped": "red", "waiting": "yellow", "unknown": "yellow"}


def command(
    decision: Annotated[
        str | None, typer.Argument(help="A decision's digest, or its first 19 characters.", show_default=False)
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Another policy: which past promotions would it have stopped?"),
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="With --policy: the promotions of this endpoint alone.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Weigh a decision again; status 2 if it is not the same. With --policy: weigh every past promotion under another policy."""
    if (decision is None) == (policy is None):
        raise typer.BadParameter("give a decision, or --policy with the file of another policy")
    evidence = evidence_of(find_site(None).home)
    if policy is not None:
        reviewed = review(evidence, parse_policy(policy.read_text()), endpoint)
        _print(reviewed, _reviews(reviewed), json=json)
        return
    found = replay(evidence, str(decision))
    _print(found, _replayed(found), json=json)
    if not found.same or found.findings:
        raise typer.Exit(2)


def _replayed(found: Replay) -> RenderableType:
    table = Table("gate", "asked by", "recorded", "weighed again", "value", "bound", Column("found", overflow="fold"))
    again = {(result.name, result.origin): result for result in found.results}
    for was in found.recorded.results:
        now = again.get((was.name, was.origin))
        status = "unknown" if now is None else now.status
        table.add_row(plain(was.name), was.origin, was.status, status, *_numbers(was), plain(was.message))
    for name in found.unknown:
        table.add_row(plain(name), "", "not recorded", "unknown", "", "", "")
    verdict = f"verdict  {found.recorded.verdict}; weighed again {found.verdict}"
    end = "[green]same     the verdict, its reasons and every gate[/]" if found.same else ""
    lines = [f"[red]DIFFERS[/]  {plain(told)}" for told in found.differences]
    lines += [f"[red]BROKEN[/]   {plain(told)}" for told in found.findings]
    title = f"decision {found.decision}, row {found.row}, on {found.recorded.bundle} for {found.recorded.endpoint}"
    return Group(plain(title), table, verdict, *filter(None, [end]), *lines)


def _numbers(result: GateResult) -> tuple[str, str]:
    shown = tuple("" if number is None else f"{number:.6g}" for number in (result.value, result.threshold))
    return shown[0], shown[1]


def _reviews(reviewed: tuple[Reviewed, ...]) -> RenderableType:
    table = Table("decided at", "endpoint", "digest", "outcome", Column("by", overflow="fold"), "then", "value", "now")
    for found in reviewed:
        first, *rest = _lines(found) or [("", "", "", "")]
        outcome = f"[{_COLOURS[found.outcome]}]{found.outcome}[/]"
        table.add_row(found.at.isoformat(), plain(found.endpoint), plain(found.bundle[:19]), outcome, *first)
        for line in rest:
            table.add_row("", "", "", "", *line)
    counts = {outcome: sum(found.outcome == outcome for found in reviewed) for outcome in _COLOURS}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    return Group(table, f"{len(reviewed)} promotions: {told}")


def _lines(found: Reviewed) -> list[tuple[str, str, str, str]]:
    by_gate = {reason.split(":")[0] for reason in found.reasons} & {stop.gate for stop in found.stops}
    lines = [
        (
            plain(f"{stop.gate}: {stop.message}"),
            _number(stop.threshold_then),
            _number(stop.value),
            _number(stop.threshold),
        )
        for stop in found.stops
    ]
    others = [reason for reason in found.reasons if reason.split(":")[0] not in by_gate]
    lines += [(plain(told), "", "", "") for told in (*others, *(f"waits for {m}" for m in found.missing))]
    return lines + [(plain(f"{gate}: not recorded, so unknown"), "", "", "") for gate in found.unknown]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _print(document: Replay | tuple[Reviewed, ...], shown: RenderableType, *, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(document))
    else:
        console().print(shown)
