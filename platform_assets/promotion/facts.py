"""All that is known of a candidate, as plain facts by section; whatever is named by digest is compared with it while it is read."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal, NamedTuple, get_args

import msgspec

from formats.bundle import read_contract
from formats.canonical import digest_of
from formats.contract import Column
from formats.errors import RoadbedError
from platform_assets.promotion.candidate import Candidate, evaluations
from platform_assets.promotion.case import time_range
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.naming import Named
from platform_assets.promotion.spec import GateResult
from resources.installation import Installation
from resources.table_ref import TableRef

Section = Literal["data", "code", "config", "metrics", "columns", "gates"]
SECTIONS: tuple[Section, ...] = get_args(Section)

Fact = str | float | int | bool | None
Facts = dict[str, Fact]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two: as it was named, and what it is. `problems` say what is not as its digest says, or cannot be read."""

    name: str
    bundle: str
    release: str | None
    candidate: str
    model: str
    partition: str
    problems: tuple[str, ...]


class SideFacts(NamedTuple):
    """A side and its facts."""

    side: Side
    by_section: Mapping[Section, Facts]


def side_of(evidence: Evidence, installation: Installation, found: Named) -> SideFacts:
    """The facts about what was named. Raises LedgerError if its candidate cannot be used."""
    candidate, problems = found.candidate, _undecided(found)
    by_section: dict[Section, Facts] = {
        "data": _data(installation, candidate, problems),
        "code": _code(candidate),
        "config": _config(installation, candidate, problems),
        "metrics": dict(sorted(candidate.measurements.items())),
        "columns": _read(problems, partial(_columns, installation, candidate.bundle)),
        "gates": dict(_gates(_results(evidence, found))),
    }
    side = Side(
        name=found.name,
        bundle=found.bundle,
        release=found.release.release if found.release else None,
        candidate=found.proposed.id,
        model=candidate.model,
        partition=candidate.partition,
        problems=tuple(problems),
    )
    return SideFacts(side, by_section)


def _undecided(found: Named) -> list[str]:
    if found.release is None or found.decision is not None:
        return []
    gone = found.release.approval.decision[:19]
    return [f"its decision {gone} does not count: it was signed with a key that was revoked"]


def _read(problems: list[str], read: Callable[[], Facts]) -> Facts:
    try:
        return read()
    except RoadbedError as error:
        problems.append(error.message)
        return {}


def _data(installation: Installation, candidate: Candidate, problems: list[str]) -> Facts:
    facts: Facts = {"cutoff": candidate.cutoff.isoformat()}
    for which, ref in (("training set", candidate.training_set), ("evaluation set", candidate.evaluation_set)):
        facts |= {f"{which}": f"{ref.table}[{ref.partition}]", f"{which} digest": ref.digest}
        facts |= {f"{which} {name}": value for name, value in _inputs(installation, ref)}
        rows = _read(problems, partial(_rows, installation, candidate, ref))
        facts |= {f"{which} {name}": value for name, value in rows.items()}
    return facts


def _inputs(installation: Installation, ref: TableRef) -> Iterator[tuple[str, str]]:
    inputs = installation.lake.noted(ref).get("inputs")
    if isinstance(inputs, dict):
        yield from ((f"from {table}", str(digest)) for table, digest in sorted(inputs.items()))


def _rows(installation: Installation, candidate: Candidate, ref: TableRef) -> Facts:
    frame = installation.lake.read(ref, candidate.key)
    first, last = time_range(frame, candidate.time_column)
    return {"rows": frame.height, "first row": first.isoformat(), "last row": last.isoformat()}


def _code(candidate: Candidate) -> Facts:
    print_ = candidate.fingerprint
    return {
        "fingerprint": print_.digest,
        "code": print_.code,
        "lock": print_.lock,
        "commit": print_.commit,
        "uncommitted changes": print_.dirty,
        "authors": ", ".join(print_.authors) or None,
    }


def _config(installation: Installation, candidate: Candidate, problems: list[str]) -> Facts:
    from platform_assets.training.record import TrainingRecord, record_of

    print_ = candidate.fingerprint
    facts: Facts = {"digest": print_.config, "seed": print_.seed, "threads": print_.threads}
    facts["hardware"] = print_.hardware
    document = record_of(installation.bundles, candidate.bundle, print_)
    if document is None:
        return facts
    try:
        config = msgspec.json.decode(document, type=TrainingRecord).config
    except msgspec.DecodeError as error:
        problems.append(f"the record of the training of {candidate.bundle[:19]} cannot be read: {error}")
        return facts
    if config and digest_of(config) != print_.config:
        problems.append(f"the recorded settings of {candidate.bundle[:19]} are not those that its fingerprint names")
        return facts
    return facts | {name: _plain(value) for name, value in sorted(config.items())}


def _plain(value: object) -> Fact:
    return (
        value if isinstance(value, str | float | int | bool) or value is None else msgspec.json.encode(value).decode()
    )


def _columns(installation: Installation, bundle: str) -> Facts:
    contract = read_contract(installation.bundles.open(bundle))
    views: Facts = {
        f"view {view.name}": f"by {', '.join(view.keys)}, lives {view.time_to_live:g} s" for view in contract.views
    }
    return {column.name: _column(column) for column in contract.columns} | views


def _column(column: Column) -> str:
    bounds = f"{column.minimum} to {column.maximum}" if (column.minimum, column.maximum) != (None, None) else ""
    allowed = f"{len(column.allowed)} values, {digest_of(column.allowed)[:19]}" if column.allowed is not None else ""
    origin = column.view or "the request"
    marks = ("nullable" if column.nullable else "", "strict" if column.strict else "", column.classification)
    shape = f" of shape {' by '.join(map(str, column.shape))}" if column.shape else ""
    parts = (f"{column.type}{shape} from {origin}", column.unit or "", bounds, allowed, *marks)
    return ", ".join(filter(None, parts))


def _results(evidence: Evidence, found: Named) -> tuple[GateResult, ...]:
    """The authority's for a release; for a bundle, those of its newest evaluation."""
    if found.release is not None:
        return found.decision.results if found.decision else ()
    known = [e for e in evaluations(evidence.ledger, found.bundle) if e.candidate == found.proposed.id]
    return known[-1].results if known else ()


def _gates(results: tuple[GateResult, ...]) -> Iterator[tuple[str, Fact]]:
    for result in results:
        name = f"{result.name} ({result.origin})"
        yield name, result.status
        yield f"{name} value", result.value
        yield f"{name} threshold", result.threshold
