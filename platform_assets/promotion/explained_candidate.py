"""The chain behind a candidate: its bundle, the data that it was trained and judged on, its code and how old all that is."""

from collections.abc import Iterator

import msgspec

from formats.errors import RoadbedError
from platform_assets.promotion.candidate import Candidate, Fingerprint, recorded_document, require_recorded
from platform_assets.promotion.explained_attestations import attestation_links
from platform_assets.promotion.explained_link import Link, instant, span
from platform_assets.promotion.staleness import Edge, ages
from platform_assets.training.record import record_of
from platform_assets.training.uncommitted import ATTESTATION, read_uncommitted
from resources.installation import Installation


class _Trained(msgspec.Struct):
    """What the record of a training beside its bundle says of the code."""

    fingerprint: Fingerprint
    mlflow_run: str | None = None


def candidate_chain(installation: Installation, candidate: Candidate) -> Iterator[Link]:
    """Bundle, training set, evaluation set, code."""
    facts = {"model": candidate.model, "cutoff": f"{candidate.partition} ({instant(candidate.cutoff)})"}
    facts |= {name: f"{value:.6g}" for name, value in sorted(candidate.measurements.items())}
    yield bundle_link(installation, candidate.bundle, facts)
    yield from attestation_links(installation, candidate.bundle)
    yield _data_link(installation, candidate, "training set")
    yield _data_link(installation, candidate, "evaluation set")
    runs = {"dagster run": candidate.dagster_run or "none", "mlflow run": candidate.mlflow_run or "none"}
    trained = _trained(record_of(installation.bundles, candidate.bundle, candidate.fingerprint))
    if candidate.fingerprint.dirty:
        yield _uncommitted_link(installation, candidate)
    if trained is None:
        yield Link(
            "code", code_facts(candidate.fingerprint) | runs, None, "the training left no record to compare with"
        )
        return
    same = trained.fingerprint.digest == candidate.fingerprint.digest
    told = "the training's own record says the same" if same else "the training's own record says otherwise"
    yield Link("code", code_facts(candidate.fingerprint) | runs, same, told)


def trained_chain(installation: Installation, bundle: str) -> Iterator[Link]:
    """A bundle that nobody has evaluated yet: its bytes, and the code by the record of its training."""
    yield bundle_link(installation, bundle, {"candidate": "none: it was not evaluated"})
    trained = _trained(installation.bundles.attestation(bundle, "training"))
    if trained is not None:
        yield Link("code", code_facts(trained.fingerprint) | {"mlflow run": trained.mlflow_run or "none"})


def bundle_link(installation: Installation, bundle: str, facts: dict[str, str]) -> Link:
    """A bundle, verified byte by byte."""
    try:
        installation.bundles.open(bundle)
    except RoadbedError as error:
        return Link(f"bundle {bundle}", facts, False, error.message)
    return Link(f"bundle {bundle}", facts, True, "every byte is what its digest says")


def _uncommitted_link(installation: Installation, candidate: Candidate) -> Link:
    """What is known of the changes that no commit has."""
    what = "uncommitted changes"
    if ATTESTATION not in candidate.attestations:
        return Link(what, {}, None, "they were not kept")
    document = recorded_document(installation.bundles, candidate, ATTESTATION)
    try:
        kept = read_uncommitted(require_recorded(candidate, ATTESTATION, document))
    except RoadbedError as error:
        return Link(what, {"digest": candidate.attestations[ATTESTATION]}, False, error.message)
    facts = {
        "digest": candidate.attestations[ATTESTATION],
        "beside": kept.commit,
        "files": ", ".join(kept.files) or "none",
    }
    told = "kept beside the bundle, and are what was recorded" if kept.is_whole else f"not kept: {kept.left_out}"
    return Link(what, facts, True, told)


def code_facts(fingerprint: Fingerprint) -> dict[str, str]:
    """Where the code is to be looked up, who wrote it, and what else decided the bytes."""
    changed = " with uncommitted changes" if fingerprint.dirty else ""
    return {
        "commit": f"{fingerprint.commit}{changed}" if fingerprint.commit else "none: it was in no git repository",
        "authors": ", ".join(fingerprint.authors) or "unknown",
        "code": fingerprint.code,
        "lock": fingerprint.lock,
        "config": fingerprint.config,
        "hardware": fingerprint.hardware,
        "seed": str(fingerprint.seed),
        "threads": str(fingerprint.threads),
    }


def age_links(installation: Installation, candidate: Candidate) -> Iterator[Link]:
    """How old the data behind the model is by now, edge by edge."""
    for edge in ages(installation, candidate):
        yield Link(f"age of {edge.target} from {edge.source}", dict(_age_facts(edge)), None, _age_note(edge))


def _age_facts(edge: Edge) -> Iterator[tuple[str, str]]:
    if edge.newest is not None and edge.age is not None:
        yield "newest", instant(edge.newest)
        yield "age", span(edge.age)
    if edge.behind is not None:
        yield f"behind {edge.source}", span(edge.behind)
    if edge.budget is not None:
        yield "budget", span(edge.budget)


def _age_note(edge: Edge) -> str:
    if edge.age is None:
        return f"unknown: {edge.why}"
    if edge.budget is None:
        return ""
    return f"OVER BUDGET by {span(edge.age - edge.budget)}" if edge.over else "within its budget"


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
    return Link(
        which, {**facts, "rows": str(rows.height)}, True, "its rows give this digest again; its inputs are as noted"
    )


def _trained(document: bytes | None) -> _Trained | None:
    try:
        return None if document is None else msgspec.json.decode(document, type=_Trained)
    except msgspec.DecodeError:
        return None
