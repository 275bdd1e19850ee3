"""Why something is as it is: the chain from a prediction back to the raw tables, each link verified as it is told."""

import itertools
import re
from collections.abc import Iterator, Sequence
from textwrap import shorten

import msgspec
import numpy as np
import polars as pl

from formats.bundle import read_contract
from formats.errors import DataError, RoadbedError
from formats.prediction_log import PredictionRecord, Value
from platform_assets.monitoring.spool import find_record
from platform_assets.monitoring.watch import ledger_finding
from platform_assets.promotion.candidate import candidate_of, newest_candidate, newest_candidate_of
from platform_assets.promotion.case import open_model
from platform_assets.promotion.evidence import Evidence, examined
from platform_assets.promotion.explained_asset import asset_chain
from platform_assets.promotion.explained_candidate import candidate_chain
from platform_assets.promotion.explained_link import Link, instant, short
from platform_assets.promotion.explained_release import decision_links, newest_decisions, release_chain
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.records import Release
from platform_assets.tensors import logged_type
from resources.experiment_tracking import ExperimentTracking
from resources.installation import Installation
from resources.ledger import Entry
from resources.ledger_places import anchor_stores
from resources.model_registry import ModelRegistry, registered_name

_TOLERANCE = 1e-5
_UUID_LENGTH = 36
_LIST = 60  # characters of a tensor
_MARKS = ("stale", "missing", "degraded")
_VERSION = re.compile(r"(?P<model>\w+/\w+)@(?P<version>\d+)")


def explain(installation: Installation, subject: str, evidence: Evidence | None = None) -> tuple[Link, ...]:
    """The chain behind a prediction id, an asset's key, a model or one of its versions, or a bundle's or release's digest.

    It is told by the rows of `evidence`, which is read if it is not given; the last link says whether those can be believed.

    Raises:
        DataError: nothing of that name is known.
    """
    found = evidence or _evidence(installation)
    return (*_chain(installation, found, subject), _ledger_link(found))


def _evidence(installation: Installation) -> Evidence:
    home = installation.home
    return examined(installation.ledger, trusted_keys(home), anchor_stores(home))


def _ledger_link(evidence: Evidence) -> Link:
    finding = ledger_finding(evidence.report)
    return Link("ledger", {"proven rows": str(evidence.report.rows)}, finding.good, finding.message)


def _chain(installation: Installation, evidence: Evidence, subject: str) -> Iterator[Link]:
    if len(subject) == _UUID_LENGTH and (record := _prediction(installation, subject)) is not None:
        yield _prediction_link(installation, record)
        yield from _released(installation, evidence, record)
    elif (found := _VERSION.fullmatch(subject)) is not None:
        yield from _version_chain(installation, evidence, found["model"], found["version"])
    elif (chain := _named(installation, evidence, subject) or asset_chain(installation, evidence, subject)) is not None:
        yield from chain
    else:
        raise _unknown(subject)


def _unknown(subject: str) -> DataError:
    return DataError(
        "prediction-not-found",
        f"nothing is known of {subject!r}",
        "give a prediction id, the key of an asset that was made, <team>/<model>, <team>/<model>@<version>, or a digest",
    )


def _named(installation: Installation, evidence: Evidence, subject: str) -> Iterator[Link] | None:
    """The chain behind a digest or a model."""
    known = [r for r in evidence.pointers.all() if subject in {r.release, r.bundle, _model(r)}]
    if known:
        return itertools.chain(
            _verdicts(installation, evidence, subject, known), release_chain(installation, evidence, known[-1])
        )
    proposed = list(evidence.ledger.entries("candidate", subject))
    entry = proposed[-1] if proposed else newest_candidate_of(evidence.ledger, subject)
    if entry is None:
        return None
    return itertools.chain(
        _verdicts(installation, evidence, subject), candidate_chain(installation, candidate_of(entry))
    )


def _verdicts(
    installation: Installation, evidence: Evidence, bundle: str, released: Sequence[Release] = ()
) -> Iterator[Link]:
    """What was decided about `bundle` at each endpoint, but for that which the newest of its releases tells itself."""
    told = released[-1].approval.decision if released else None
    for decision in newest_decisions(evidence, bundle).values():
        if decision != told:
            yield from decision_links(installation, evidence, decision)


def _version_chain(installation: Installation, evidence: Evidence, model: str, version: str) -> Iterator[Link]:
    """A version as MLflow counts them: a mirror, so the ledger has to know its bundle."""
    tracking = ExperimentTracking(folder=str(installation.home.root))
    # A client makes the tables of a store that has none; asking must not.
    there = (installation.home.mlflow / "mlflow.db").exists()
    bundle = ModelRegistry(tracking).bundle_of(model, version) if there else None
    if bundle is None:
        raise _unknown(f"{model}@{version}")
    facts = {"registered as": f"{registered_name(model)} version {version}", "bundle": bundle}
    entry = newest_candidate(evidence.ledger, bundle, model)
    if entry is None:
        yield Link(f"version {model}@{version}", facts, False, f"the ledger knows no candidate {bundle} of {model}")
        return
    yield Link(f"version {model}@{version}", facts, True, f"the ledger knows this bundle as a candidate of {model}")
    yield from _of_bundle(installation, evidence, model, entry)


def _of_bundle(installation: Installation, evidence: Evidence, model: str, entry: Entry) -> Iterator[Link]:
    released = [r for r in evidence.pointers.all() if (r.bundle, _model(r)) == (entry.subject, model)]
    yield from _verdicts(installation, evidence, entry.subject, released)
    if released:
        yield from release_chain(installation, evidence, released[-1])
    else:
        yield from candidate_chain(installation, candidate_of(entry))


def _model(release: Release) -> str:
    return release.endpoint.rsplit("/", 2)[0]


def _prediction(installation: Installation, subject: str) -> PredictionRecord | None:
    """The record of a prediction: from the spool if it is young, else from the lake."""
    folder = installation.home.root / "endpoints"
    for released in folder.glob("*/*/*/release.json"):
        if (record := find_record(released.parent, subject)) is not None:
            return record
    for table in (each for each in installation.lake.tables() if each.endswith("/prediction_log")):
        rows = installation.lake.scan(table).filter(pl.col("prediction") == subject).collect()
        if rows.height:
            return _record(rows.row(0, named=True))
    return None


def _record(row: dict[str, object]) -> PredictionRecord:
    named = {name: row.pop(name) for name in ("prediction", "endpoint", "release", "bundle", "asked_at", "served_at")}
    request, told = row.pop("request"), row.pop("class", None)
    answers: dict[str, object] = {
        name: row.pop(name) for name in ("probability", "probabilities", "value") if name in row
    }
    if told is not None:
        del answers["probability"]  # of the class, and among the others
    marks = {name: tuple(filter(None, str(row.pop(name)).split(","))) for name in _MARKS}
    document = {**named, **answers, **marks, "features": row}
    return msgspec.convert({**document, "request": msgspec.json.decode(str(request))}, PredictionRecord)


def _prediction_link(installation: Installation, record: PredictionRecord) -> Link:
    facts = {
        "answer": _told(record.answer),
        "asked at": instant(record.asked_at),
        "request": msgspec.json.encode(record.request).decode(),
        "features": ", ".join(f"{name}={_shown(value)}" for name, value in sorted(record.features.items())),
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
    same = bool(np.allclose(again, record.answer, rtol=_TOLERANCE, atol=_TOLERANCE))
    told = f"the bundle answers these features with {_told(again)}"
    return Link(f"prediction {record.prediction}", facts, same, told)


def _released(installation: Installation, evidence: Evidence, record: PredictionRecord) -> Iterator[Link]:
    known = (r for r in evidence.pointers.all() if (r.release, r.bundle) == (record.release, record.bundle))
    release = next(known, None)
    if release is None:
        told = f"the authority issued no release {record.release} of {short(record.bundle)}, or with a key that was revoked"
        yield Link(f"release {short(record.release)}", {}, False, told)
        return
    yield from release_chain(installation, evidence, release)


def _again(installation: Installation, record: PredictionRecord) -> float | tuple[float, ...]:
    model = open_model(installation.bundles, record.bundle)
    types = {column.name: logged_type(column) for column in model.contract.columns}
    row = {name: [record.features.get(name)] for name in types}
    again: float | list[float] = model.predict(pl.DataFrame(row, schema=types, strict=False))[0].tolist()
    return tuple(again) if isinstance(again, list) else again


def _told(answer: float | tuple[float, ...]) -> str:
    return " ".join(f"{number:.6f}" for number in (answer if isinstance(answer, tuple) else (answer,)))


def _shown(value: Value) -> str:
    if isinstance(value, list):
        return shorten(str(value), _LIST, placeholder=" ...]")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
