"""The compliance report of an endpoint: one HTML file that needs nothing else, for who has no access to the installation.

Names, reasons and messages come from teams and callers. The template escapes every value, and the page forbids itself scripts and
whatever would be loaded.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from platform_assets.promotion.directory import known_to
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.history import History, Tenure, history_of
from platform_assets.promotion.page import rendered
from platform_assets.promotion.remarks import Remark
from platform_assets.promotion.spec import GateResult
from resources.clock import wall_now
from resources.installation import Installation
from resources.ledger_places import anchor_stores

_WORDS = frozenset({"approve", "reject", "waive"})

Facts = list[tuple[str, str]]


class Report(NamedTuple):
    """What the report shows. `links` are the provenance of what is live, `words` what people said about it."""

    endpoint: str
    at: datetime
    ledger: Facts
    history: History
    live: Facts | None
    gates: tuple[GateResult, ...]
    links: tuple[Link, ...]
    recorded: datetime | None

    @property
    def signatures(self) -> tuple[Link, ...]:
        """The attestations among the links."""
        return tuple(link for link in self.links if link.what.startswith("attestation "))

    @property
    def verified(self) -> bool:
        """Whether nothing that it shows was found to be false."""
        return self.history.verified and all(link.verified is not False for link in self.links)


def report_on(evidence: Evidence, installation: Installation, endpoint: str) -> Report:
    """The report about `endpoint`. Raises what `history_of` raises."""
    history = history_of(evidence, known_to(installation.home).identities, endpoint)
    champion, now = evidence.pointers.champion(endpoint), installation.clock.now()
    decision = None if champion is None else evidence.pointers.find_decision(champion.approval.decision)
    tenure = next((one for one in history.releases if champion and one.release == champion.release), None)
    return Report(
        endpoint=endpoint,
        at=now,
        ledger=list(_ledger(evidence, installation)),
        history=history,
        live=None if champion is None or tenure is None else list(_live(tenure, champion.approval.expires_at, now)),
        gates=decision.results if decision else (),
        links=() if champion is None else explain(installation, champion.release, evidence),
        recorded=None if decision is None else _recorded(evidence, decision.candidate),
    )


def html(report: Report) -> bytes:
    """The report as a page."""
    bundle = dict(report.live or ()).get("bundle")
    words = [remark for remark in report.history.remarks if remark.what in _WORDS and remark.subject == bundle]
    others = _others(report.history.remarks, words)
    age = _days(wall_now() - report.recorded) if report.recorded else "unknown"
    found = {"signatures": report.signatures, "recorded_age": age, "words": words, "events": others}
    return rendered("report.html", **report._asdict(), verified=report.verified, **found)


def _recorded(evidence: Evidence, candidate: str) -> datetime | None:
    """Since when, by the wall, that stands in the ledger which the attestations say."""
    entry = evidence.by_id.get(candidate)
    return None if entry is None else entry.recorded_at


def _others(remarks: tuple[Remark, ...], words: list[Remark]) -> list[Remark]:
    shown = {remark.row for remark in words}
    return [remark for remark in remarks if remark.row not in shown]


def _ledger(evidence: Evidence, installation: Installation) -> Iterator[tuple[str, str]]:
    report = evidence.report
    yield "proven rows", f"{report.rows}, {'whole' if not report.breaks else 'DAMAGED after them'}"
    yield "head", report.head.hash
    yield "anchors", ", ".join(store.where for store in anchor_stores(installation.home))
    yield "signed by", ", ".join(sorted({str(row.keyid) for row in evidence.signed})) or "nobody yet"


def _live(tenure: Tenure, expires: datetime, now: datetime) -> Iterator[tuple[str, str]]:
    yield "release", f"{tenure.sequence}, {tenure.release}"
    yield "bundle", tenure.bundle
    yield "live since", _since(tenure.live_from, now) if tenure.live_from else "never"
    yield "trained up to", _since(tenure.cutoff, now)
    yield "document expires", f"{expires.isoformat()}{' (EXPIRED)' if now >= expires else ''}"
    yield "decision", f"{tenure.decision}, under policy {tenure.policy}"
    yield "asked by", tenure.asked_by
    yield "approved by", ", ".join(tenure.approved_by) or "nobody: the policy asks for no approval"
    waived = (f"{w.gate} by {w.actor} ({w.role}) until {w.expires_at.isoformat()}: {w.reason}" for w in tenure.waived)
    yield "waived", "; ".join(waived) or "nothing"


def _since(instant: datetime, now: datetime) -> str:
    return f"{instant.isoformat()}, {_days(now - instant)} ago"


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f} days"
