"""`roadbed history`: every release of an endpoint, when it was live and why it ended; which one was live at an instant."""

from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from platform_assets.cli.advance import parse_instant
from platform_assets.cli.site import find_site
from platform_assets.cli.tables import console, mark, plain, visible
from platform_assets.promotion.directory import known_to
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.history import History, Moment, Tenure, history_of, moment
from platform_assets.promotion.remarks import Remark
from resources.installation import installation_at


def command(
    endpoint: Annotated[str, typer.Argument(help="<team>/<model>/<environment>/endpoint")],
    at: Annotated[
        str | None, typer.Option(help="Only what was live then: an instant, ISO 8601; UTC unless it says otherwise.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """Tell which release was live when, who decided it and why it ended. Status 2 if something is not as it was signed."""
    home = find_site(None).home
    evidence, screen = evidence_of(home), console()
    if at is not None:
        found = moment(evidence, endpoint, parse_instant(at), installation_at(home).clock.now())
        _print(found, _told(found), screen, json=json)
        verified = found.live is None or found.live.verified
    else:
        history = history_of(evidence, known_to(home).identities, endpoint)
        _print(history, render(history), screen, json=json)
        verified = history.verified
    if not verified:
        raise typer.Exit(2)


def render(history: History) -> Table:
    """The history as a table, in the order in which it was written; remarks stand between the releases."""
    table = Table(
        "row",
        "what",
        "at, or live from",
        "until",
        "model",
        "digest",
        "decided by",
        Column("why", overflow="fold"),
        "ledger",
    )
    table.title, table.title_justify = plain(history.endpoint), "left"
    rows = [(tenure.approved_row, _release(tenure)) for tenure in history.releases]
    rows += [(remark.row, _remark(remark)) for remark in history.remarks]
    for row, cells in sorted(rows, key=lambda pair: pair[0]):
        table.add_row(str(row), *cells)
    for finding in history.findings:
        table.add_row("", "[red]ledger[/]", "", "", "", "", "", plain(finding), mark(verified=False))
    if not history.whole:
        table.caption = f"nothing after row {history.proven_rows} of the ledger can be told"
    return table


def _release(tenure: Tenure) -> tuple[str, ...]:
    waived = [f"{w.gate} waived by {w.actor} until {_time(w.expires_at)}: {w.reason}" for w in tenure.waived]
    by = [f"policy {tenure.policy}", f"asked by {tenure.asked_by}", *(f"approved by {a}" for a in tenure.approved_by)]
    why = [tenure.reason, *waived, tenure.ended, tenure.note]
    return (
        f"release {tenure.sequence}: {tenure.state}",
        _time(tenure.live_from) if tenure.live_from else "never",
        _time(tenure.live_until) if tenure.live_until else "",
        _lines(f"cutoff {tenure.partition}", f"candidate {tenure.candidate[:19]}"),
        plain(tenure.bundle[:19]),
        _lines(*by),
        _lines(*why),
        mark(verified=tenure.verified),
    )


def _remark(remark: Remark) -> tuple[str, ...]:
    subject, who, why = plain(remark.subject[:19]), plain(remark.who), _lines(remark.why, remark.note)
    return (remark.what, _time(remark.at), "", "", subject, who, why, mark(verified=remark.verified))


def _lines(*texts: str) -> str:
    return "\n".join(map(plain, filter(None, texts)))


def _told(found: Moment) -> str:
    lines = [f"at       {_time(found.at)}, after row {found.row or 0} of the ledger"]
    lines += [_one("live", found.live)] if found.live else [f"live     nothing at {found.endpoint}"]
    lines += [_one("next", found.changing_to)] if found.changing_to else []
    lines += [f"note     {found.note}"] if found.note else []
    return "\n".join(map(visible, lines))


def _one(what: str, tenure: Tenure) -> str:
    model = f"cutoff {tenure.partition}, candidate {tenure.candidate}"
    since = f", live from {_time(tenure.live_from)}" if tenure.live_from else ""
    return f"{what:<8} release {tenure.sequence}: {tenure.bundle}, {model}{since}  {'verified' if tenure.verified else 'BROKEN'}"


def _print(document: History | Moment, shown: Table | str, screen: Console, *, json: bool) -> None:
    if json:
        typer.echo(msgspec.json.encode(document))
    else:
        screen.print(shown, markup=not isinstance(shown, str))


def _time(instant: datetime) -> str:
    return instant.isoformat()
