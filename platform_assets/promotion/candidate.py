"""Candidates and their evaluations as the ledger keeps them: what was built from what, and how it was measured."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from formats.canonical import digest_of, sha256_hex
from formats.errors import DataError, IntegrityError, LedgerError
from formats.task import BINARY, Multiclass, Regression, Task
from platform_assets.promotion.spec import AnyGate, GateResult
from resources.bundle_store import BundleStore
from resources.ledger import Entry, Ledger, LedgerView
from resources.table_ref import TableRef


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the bytes of a bundle: digests of code, lock and config, seed, threads, hardware class.

    `commit` and `dirty` (uncommitted changes) say where to look it up, `authors` who wrote it (e-mail addresses of the commit's
    author and, with uncommitted changes, of the checkout's user); they are not part of the digest.
    """

    code: str
    lock: str
    config: str
    seed: int
    threads: int
    hardware: str
    commit: str | None = None
    dirty: bool = False
    authors: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what decides the bytes."""
        content = msgspec.to_builtins(self)
        return digest_of({name: content[name] for name in content if name not in {"commit", "dirty", "authors"}})


class Candidate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle that asks to be judged. The body of a ledger entry of kind `candidate`.

    `partition` is the training cutoff's key ("2013-03-01": trained on rows up to the end of March), `cutoff` the same as an instant
    (2013-04-01T00:00Z). Rows of the evaluation set have `time_column` in [judged_from, judged_until). `measurements` hold what is
    attested: `parity_max_difference` (of answers), `parity_rows`, `latency_p99_ms`, `memory_bytes`, the figures, and what the
    team measured (`team.<name>`). `attestations` are the digests of the documents beside the bundle that the gates read. After
    `max_age_days` from the cutoff the model counts as old.
    """

    model: str
    bundle: str
    partition: str
    cutoff: datetime
    fingerprint: Fingerprint
    training_set: TableRef
    evaluation_set: TableRef
    key: tuple[str, ...]
    time_column: str
    label: str
    judged_from: datetime
    judged_until: datetime
    measurements: dict[str, float] = {}
    attestations: dict[str, str] = {}
    dagster_run: str | None = None
    mlflow_run: str | None = None
    gates: tuple[AnyGate, ...] = ()
    max_age_days: float | None = None
    other_task: Multiclass | Regression | msgspec.UnsetType = msgspec.field(name="task", default=msgspec.UNSET)

    @property
    def task(self) -> Task:
        """What the model answers."""
        return BINARY if isinstance(self.other_task, msgspec.UnsetType) else self.other_task

    @property
    def authors(self) -> tuple[str, ...]:
        """Who made it, by e-mail address; they cannot approve it."""
        return self.fingerprint.authors

    @property
    def inputs(self) -> dict[str, str]:
        """What the entry's id is made of."""
        return {
            "model": self.model,
            "bundle": self.bundle,
            "partition": self.partition,
            "fingerprint": self.fingerprint.digest,
            "gates": digest_of(msgspec.to_builtins(self.gates)),
            "attestations": digest_of(self.attestations),
        }


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The gates' results for a candidate, as shown in the UI; the authority makes its own. Body of kind `evaluation`.

    `champion` is the release that it was compared with.
    """

    candidate: str
    bundle: str
    champion: str | None
    results: tuple[GateResult, ...]


def record_candidate(ledger: Ledger, candidate: Candidate, *, actor: str, at: datetime) -> Entry:
    """Write the candidate; the same model, bundle, partition, fingerprint and gates is one entry."""
    return ledger.append(
        kind="candidate",
        subject=candidate.bundle,
        inputs=candidate.inputs,
        body=msgspec.to_builtins(candidate),
        actor=actor,
        at=at,
    )


def record_evaluation(ledger: Ledger, evaluation: Evaluation, *, actor: str, at: datetime) -> Entry:
    """Write the results; the same candidate, champion and results are one entry."""
    body = msgspec.to_builtins(evaluation)
    inputs = {"candidate": evaluation.candidate, "champion": evaluation.champion, "results": digest_of(body["results"])}
    return ledger.append(kind="evaluation", subject=evaluation.bundle, inputs=inputs, body=body, actor=actor, at=at)


def candidate_of(entry: Entry) -> Candidate:
    """The candidate in an entry of kind `candidate`. Raises LedgerError if the body is none, or not the one its id names."""
    try:
        candidate = msgspec.convert(entry.body, Candidate)
    except msgspec.ValidationError as error:
        raise _unreadable(entry, str(error)) from error
    if candidate.inputs != entry.inputs or candidate.bundle != entry.subject:
        raise _unreadable(entry, f"its body describes {candidate.inputs}, its id {entry.inputs}")
    return candidate


def recorded_document(bundles: BundleStore, candidate: Candidate, name: str) -> bytes | None:
    """The document `name` beside the bundle that the candidate recorded; if it is gone the newest of that name, if there is one."""
    documents = bundles.every_attestation(candidate.bundle, name)
    recorded = candidate.attestations.get(name)
    found = (each for each in documents if f"sha256:{sha256_hex(each)}" == recorded)
    return next(found, documents[0] if documents else None)


def require_recorded(candidate: Candidate, name: str, document: bytes | None) -> bytes:
    """The document `name` beside the bundle, if it is the one that the candidate recorded.

    Raises:
        DataError: the candidate recorded none, or it is gone.
        IntegrityError: it is another one by now.
    """
    recorded = candidate.attestations.get(name)
    if recorded is None or document is None:
        raise DataError("data-missing", f"the candidate has no attestation {name!r}", "materialize the evaluation")
    if recorded != f"sha256:{sha256_hex(document)}":
        raise IntegrityError(
            "digest-mismatch",
            f"the attestation {name!r} was written again since the candidate recorded it",
            "materialize the evaluation, which records the new one",
        )
    return document


def evaluations(view: LedgerView, bundle: str | None = None) -> Iterator[Evaluation]:
    """The evaluations (of `bundle`), oldest first. Anyone may append one: what cannot be read does not count."""
    return (found for entry in view.entries("evaluation", bundle) if (found := evaluation_of(entry)) is not None)


def evaluation_of(entry: Entry) -> Evaluation | None:
    """The evaluation in an entry of kind `evaluation`; None if it cannot be read."""
    try:
        return msgspec.convert(entry.body, Evaluation)
    except msgspec.ValidationError:
        return None


def newest_candidate(view: LedgerView, bundle: str, model: str) -> Entry | None:
    """The newest candidate entry of `bundle` for `model`, if there is one. Of rows with the same id the first alone counts."""
    return _newest(view.entries("candidate", bundle), model)


def newest_candidate_of(view: LedgerView, model: str) -> Entry | None:
    """The newest candidate entry for `model`, if there is one; of rows with the same id the first alone counts."""
    return _newest(view.entries("candidate"), model)


def _newest(entries: Iterable[Entry], model: str) -> Entry | None:
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.inputs.get("model") == model:
            first.setdefault(entry.id, entry)
    return next(reversed(first.values()), None)


def _unreadable(entry: Entry, why: str) -> LedgerError:
    return LedgerError(
        "ledger-corrupt",
        f"ledger entry {entry.sequence} ({entry.kind}) cannot be used: {why}",
        "materialize the model again with this version, which writes a new entry",
    )
