"""Why something is as it is: the chain from a prediction back to the raw tables, each link verified as it is told."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
import polars as pl

from formats.bundle import read_contract
from formats.errors import DataError, RoadbedError
from formats.prediction_log import PredictionRecord
from formats.release import read_release
from platform_assets.monitoring.spool import all_segments, records_in
from platform_assets.promotion.candidate import Candidate, candidate_of, newest_candidate
from platform_assets.promotion.case import open_model
from platform_assets.promotion.issue import document_of, release_path
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.live import pointers
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.records import Release
from platform_assets.promotion.staleness import Edge, ages
from resources.installation import Installation

_TOLERANCE = 1e-5
_MARKS = ("stale", "missing", "degraded")


class Link(msgspec.Struct, frozen=True):
    """One link of the chain: what it is, facts about it, and whether it was found to be true (None: nothing to verify)."""

    what: str
    facts: dict[str, str]
    verified: bool | None = None
    note: str = ""


def explain(installation: Installation, subject: str, state: Pointers | None = None) -> tuple[Link, ...]:
    """The chain behind a prediction id, an endpoint, a model, a bundle or release digest, or a table.

    `state` are the pointers to tell it by, for those who have them; else they are read.

    Raises:
        DataError: nothing of that name is known.
    """
    return tuple(_chain(installation, state or pointers(installation), subject))


def _chain(installation: Installation, state: Pointers, subject: str) -> Iterator[Link]:
    if (record := _prediction(installation, subject)) is not None:
        yield _prediction_link(installation, record)
        yield from _release_chain(installation, state, state.release(record.release))
    elif (release := _release(state, subject)) is not None:
        yield from _release_chain(installation, state, release)
        if subject.endswith("/endpoint"):
            yield from _age_links(installation, state, release)
    elif (candidate := _candidate(installation, subject)) is not None:
        yield from _candidate_chain(installation, candidate)
    elif installation.lake.digests(subject):
        yield _table_link(installation, subject)
    else:
        raise DataError(
            "prediction-not-found",
            f"nothing is known of {subject!r}",
            "give a prediction id, <team>/<model>/<environment>/endpoint, <team>/<model>, a digest, or a table's key",
        )


def _prediction(installation: Installation, subject: str) -> PredictionRecord | None:
    """The record of a prediction: from the spool if it is young, else from the lake."""
    folder = installation.home.root / "endpoints"
    for released in folder.glob("*/*/*/release.json"):
        found = (r for r in records_in(all_segments(released.parent)) if r.prediction == subject)
        if (record := next(found, None)) is not None:
            return record
    if len(subject) != 36:  # the length of a UUID
        return None
    for log in installation.home.lake.glob("*/*/prediction_log"):
        table = log.relative_to(installation.home.lake).as_posix()
        rows = installation.lake.scan(table).filter(pl.col("prediction") == subject).collect()
        if rows.height:
            return _record(rows.row(0, named=True))
    return None


def _record(row: dict[str, object]) -> PredictionRecord:
    named = {name: row.pop(name) for name in ("prediction", "endpoint", "release", "bundle", "asked_at", "served_at")}
    probability, request = row.pop("probability"), row.pop("request")
    marks = {name: tuple(filter(None, str(row.pop(name)).split(","))) for name in _MARKS}
    document = {**named, "probability": probability, **marks, "features": row}
    return msgspec.convert({**document, "request": msgspec.json.decode(str(request))}, PredictionRecord)


def _release(state: Pointers, subject: str) -> Release | None:
    if subject.endswith("/endpoint"):
        return state.desired(subject)
    known = [release for release in state.all() if subject in {release.release, release.bundle, _model(release)}]
    return known[-1] if known else None


def _model(release: Release) -> str:
    return release.endpoint.rsplit("/", 2)[0]


def _candidate(installation: Installation, subject: str) -> Candidate | None:
    entries = list(installation.ledger.entries("candidate", subject))
    return candidate_of(entries[-1]) if entries else None


def _prediction_link(installation: Installation, record: PredictionRecord) -> Link:
    facts = {
        "answer": f"{record.probability:.6f}",
        "asked at": _time(record.asked_at),
        "request": msgspec.json.encode(record.request).decode(),
        "features": ", ".join(f"{name}={_short(value)}" for name, value in sorted(record.features.items())),
        "stale": ", ".join(record.stale) or "none",
        "missing": ", ".join(record.missing) or "none",
        "degraded": ", ".join(record.degraded) or "none",
    }
    try:
        again = _again(installation, record)
    except RoadbedError as error:
        return Link(f"prediction {record.prediction}", facts, False, error.message)
    hidden = [
        c.name
        for c in read_contract(installation.bundles.open(record.bundle)).columns
        if c.classification == "personal"
    ]
    if hidden:
        return Link(
            f"prediction {record.prediction}", facts, None, f"the log hides {', '.join(hidden)}: it cannot be repeated"
        )
    same = abs(again - record.probability) <= _TOLERANCE
    return Link(f"prediction {record.prediction}", facts, same, f"the bundle answers these features with {again:.6f}")


def _again(installation: Installation, record: PredictionRecord) -> float:
    model = open_model(installation.bundles, record.bundle)
    types = {c.name: pl.String() if c.type == "text" else pl.Float64() for c in model.contract.columns}
    row = {name: [record.features.get(name)] for name in types}
    return float(model.predict(pl.DataFrame(row, schema=types, strict=False))[0])


def _release_chain(installation: Installation, state: Pointers, release: Release) -> Iterator[Link]:
    yield release_link(installation, release)
    decision = state.find_decision(release.approval.decision)
    if decision is None:
        gone = "the authority did not take it, or with a key that was revoked"
        yield Link(f"decision {release.approval.decision[:19]}", {}, False, gone)
        return
    gates = {r.name: f"{r.status}: {r.message}" for r in decision.results}
    facts = {
        "verdict": decision.verdict,
        "policy": f"version {decision.policy_version}, {decision.policy[:19]}",
        **gates,
    }
    yield Link(f"decision {release.approval.decision[:19]}", facts, True, "signed by the authority")
    entry = newest_candidate(installation.ledger, release.bundle, _model(release))
    if entry is not None:
        yield from _candidate_chain(installation, candidate_of(entry))


def release_link(installation: Installation, release: Release) -> Link:
    """A release, verified by its document."""
    approval = release.approval
    facts = {
        "endpoint": release.endpoint,
        "sequence": str(approval.sequence),
        "state": release.state,
        "bundle": release.bundle,
        "reason": approval.reason,
        "issued": _time(approval.issued_at),
        "expires": _time(approval.expires_at),
    }
    wrong = _wrong_document(installation, release)
    note = wrong or "its document is signed by the authority"
    return Link(f"release {release.release[:19]}", facts, not wrong, note)


def _wrong_document(installation: Installation, release: Release) -> str:
    """What is wrong with the document that is stored of `release`; empty: nothing."""
    path = release_path(installation.home, release.endpoint, release.sequence)
    trusted, issued_at = trusted_keys(installation.home), release.approval.issued_at
    try:
        found = read_release(path.read_bytes(), trusted, endpoint=release.endpoint, now=issued_at)
    except (RoadbedError, OSError) as error:
        return str(error)
    if found == document_of(release):
        return ""
    return (
        f"its document is another one: release {found.release[:19]}, sequence {found.sequence}, of {found.bundle[:19]}"
    )


def _candidate_chain(installation: Installation, candidate: Candidate) -> Iterator[Link]:
    yield _bundle_link(installation, candidate)
    yield _data_link(installation, candidate, "training set")
    yield _data_link(installation, candidate, "evaluation set")
    print_ = candidate.fingerprint
    commit = f"{print_.commit or 'unknown'}{' with uncommitted changes' if print_.dirty else ''}"
    facts = {"commit": commit, "code": print_.code, "lock": print_.lock, "hardware": print_.hardware}
    runs = {"dagster run": candidate.dagster_run or "none", "mlflow run": candidate.mlflow_run or "none"}
    yield Link("code", {**facts, "seed": str(print_.seed), "threads": str(print_.threads), **runs})


def _age_links(installation: Installation, state: Pointers, release: Release) -> Iterator[Link]:
    """How old the data behind the release is by now, edge by edge."""
    decision = state.find_decision(release.approval.decision)
    entry = None if decision is None else installation.ledger.get(decision.candidate)
    for edge in ages(installation, candidate_of(entry)) if entry is not None else ():
        yield Link(f"age of {edge.target} from {edge.source}", dict(_age_facts(edge)), None, _age_note(edge))


def _age_facts(edge: Edge) -> Iterator[tuple[str, str]]:
    if edge.newest is not None and edge.age is not None:
        yield "newest", _time(edge.newest)
        yield "age", _span(edge.age)
    if edge.behind is not None:
        yield f"behind {edge.source}", _span(edge.behind)
    if edge.budget is not None:
        yield "budget", _span(edge.budget)


def _age_note(edge: Edge) -> str:
    if edge.age is None:
        return f"unknown: {edge.why}"
    if edge.budget is None:
        return ""
    return f"OVER BUDGET by {_span(edge.age - edge.budget)}" if edge.over else "within its budget"


def _span(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} hours" if abs(hours) < 48 else f"{hours / 24:.1f} days"


def _bundle_link(installation: Installation, candidate: Candidate) -> Link:
    facts = {"model": candidate.model, "cutoff": f"{candidate.partition} ({_time(candidate.cutoff)})"}
    facts |= {name: f"{value:.6g}" for name, value in sorted(candidate.measurements.items())}
    try:
        installation.bundles.open(candidate.bundle)
    except RoadbedError as error:
        return Link(f"bundle {candidate.bundle}", facts, False, error.message)
    return Link(f"bundle {candidate.bundle}", facts, True, "every byte is what its digest says")


def _data_link(installation: Installation, candidate: Candidate, which: str) -> Link:
    ref = candidate.training_set if which == "training set" else candidate.evaluation_set
    facts = {"table": f"{ref.table}[{ref.partition}]", "digest": ref.digest}
    noted = installation.lake.noted(ref).get("inputs")
    inputs = noted if isinstance(noted, dict) else {}
    facts |= {f"from {table}": str(digest) for table, digest in inputs.items()}
    try:
        rows = installation.lake.read(ref, candidate.key)
    except RoadbedError as error:
        return Link(which, facts, False, error.message)
    return Link(which, {**facts, "rows": str(rows.height)}, True, "its rows give this digest again")


def _table_link(installation: Installation, table: str) -> Link:
    digests = installation.lake.digests(table)
    days = sorted(digests)
    facts = {"partitions": f"{len(days)}: {days[0]} to {days[-1]}", "newest digest": digests[days[-1]]}
    return Link(f"table {table}", facts)


def _time(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")


def _short(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
