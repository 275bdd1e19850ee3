"""Audit completeness: whether everything that an auditor will ask about an endpoint is there and true, looked at before they ask.

It reads and verifies; it decides nothing and nobody waits for it.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from formats.errors import RoadbedError
from platform_assets.monitoring.spool import all_segments, records_in
from platform_assets.monitoring.watch import Finding, ledger_finding
from platform_assets.promotion.candidate import candidate_of, evaluations
from platform_assets.promotion.evidence import Evidence, evidence_of
from platform_assets.promotion.explained_release import release_link
from platform_assets.promotion.inspections import record_findings
from platform_assets.promotion.records import Release
from platform_assets.promotion.replay import replay
from resources.installation import Installation

AUDITED = {
    "ledger_anchored": "The ledger is chained and signed, and every anchor agrees with it.",
    "releases_accounted": "Each release that was live has its candidate, provenance, evaluation, policy and a decision that "
    "follows from them; the document and the bundle of the live one verify.",
    "predictions_accounted": "Each answer in the prediction log names a release of this endpoint, and its bundle.",
}

_SHOWN = 5


class Audit(NamedTuple):
    """The findings by the name of the check, and how much was looked at."""

    findings: dict[str, Finding]
    rows: int
    releases: int
    predictions: int


class Answers(NamedTuple):
    """So many answers in the log name this release and bundle."""

    release: str
    bundle: str
    answers: int


def audit(installation: Installation, endpoint: str) -> Audit:
    """What is missing or false about `endpoint`. Raises PromotionError if no authority was initialised."""
    evidence = evidence_of(installation.home)
    once_live = [release for release in evidence.pointers.releases(endpoint) if release.was_live]
    answers = list(logged(installation, endpoint))
    gaps = [gap for release in once_live for gap in _gaps(evidence, installation, release)]
    strangers = list(_strangers(evidence, endpoint, answers))
    counted = sum(found.answers for found in answers)
    findings = {
        "ledger_anchored": ledger_finding(evidence.report),
        "releases_accounted": _finding(gaps, f"{len(once_live)} releases that were live are accounted for"),
        "predictions_accounted": _finding(strangers, f"{counted} answers name a release of {endpoint}"),
    }
    return Audit(findings, evidence.report.rows, len(once_live), counted)


def logged(installation: Installation, endpoint: str) -> Iterator[Answers]:
    """The releases and bundles that logged answers name. An answer on its way to the lake may be counted there as well."""
    # The spool first: what is ingested meanwhile is met twice, and nothing is missed.
    spooled = records_in(all_segments(installation.home.endpoint(endpoint)))
    counts = Counter((record.release, record.bundle) for record in spooled)
    yield from (Answers(*named, count) for named, count in sorted(counts.items()))
    table = f"{endpoint.rsplit('/', 2)[0]}/prediction_log"
    if installation.lake.digests(table):
        rows = installation.lake.scan(table).filter(pl.col("endpoint") == endpoint)
        named = rows.group_by("release", "bundle").len().collect()
        yield from (Answers(*row) for row in named.sort("release", "bundle").rows())


def _strangers(evidence: Evidence, endpoint: str, answers: list[Answers]) -> Iterator[str]:
    known = {release.release: release.bundle for release in evidence.pointers.releases(endpoint)}
    for found in answers:
        if found.release not in known:
            yield f"{found.answers} answers name the release {found.release}, which the authority never issued for {endpoint}"
        elif known[found.release] != found.bundle:
            yield f"{found.answers} answers of release {found.release} name the bundle {found.bundle} instead of its own"


def _gaps(evidence: Evidence, installation: Installation, release: Release) -> Iterator[str]:
    what = f"release {release.sequence}"
    try:
        replayed = replay(evidence, release.approval.decision)
        candidate = candidate_of(evidence.by_id[replayed.recorded.candidate])
    except RoadbedError as error:
        yield f"{what}: {error.message}"
        return
    if (replayed.recorded.bundle, replayed.recorded.verdict) != (release.bundle, "approved"):
        yield f"{what}: its decision says {replayed.recorded.verdict} about {replayed.recorded.bundle}"
    yield from (f"{what}: its decision does not follow: {told}" for told in replayed.differences)
    yield from (f"{what}: {found['what']} is {found['found']}" for found in record_findings(candidate, clean=False))
    known = evaluations(evidence.ledger, candidate.bundle)
    if not any(evaluation.candidate == replayed.recorded.candidate for evaluation in known):
        yield f"{what}: the ledger has no evaluation of its candidate"
    if release.state == "live":
        yield from (f"{what}: {told}" for told in _broken(installation, release))


def _broken(installation: Installation, release: Release) -> Iterator[str]:
    document = release_link(installation, release)
    if not document.verified:
        yield document.note
    try:
        installation.bundles.open(release.bundle)
    except RoadbedError as error:
        yield error.message


def _finding(wrong: list[str], good: str) -> Finding:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return Finding(not wrong, f"{'; '.join(wrong[:_SHOWN])}{more}" if wrong else good)
