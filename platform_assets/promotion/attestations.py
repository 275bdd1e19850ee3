"""What the authority signs about a bundle, as statements (formats/attestation.py): a function of what is on record, no more.

Signing says that the bundle and its documents are those that were recorded here. Who trained it and on which machine is the word of
the process that did; the digests of table, lock and code can be held against the ledger, the lake and the repository.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from formats.attestation import EVALUATION, Statement, signature_statement, statement_about
from formats.bundle import Manifest
from formats.canonical import sha256_hex
from platform_assets.promotion.candidate import Candidate, Fingerprint
from platform_assets.promotion.records import Decision
from platform_assets.promotion.spec import GateResult
from resources.table_ref import TableRef

BUILD_TYPE = "urn:roadbed:training:1"
TRAINING_RECORD = "training record"
TRAINING_SET = "training set"

_OUTCOMES = {"passed": "passedTests", "attested": "passedTests", "incomparable": "warnedTests", "failed": "failedTests"}


def statements(
    manifest: Manifest, candidate: Candidate, sbom: Mapping[str, Any], training: bytes | None
) -> dict[str, Statement]:
    """The statements about a proposed bundle, by name. `training` is the record of its training, if it was kept."""
    return {
        "signature": signature_statement(manifest),
        "provenance": statement_about(manifest.digest, "provenance", provenance(candidate, training)),
        "sbom": statement_about(manifest.digest, "sbom", sbom),
    }


def provenance(candidate: Candidate, training: bytes | None) -> dict[str, Any]:
    """How the candidate was built, in the words of https://slsa.dev/spec/v1.1/provenance."""
    run = {"invocationId": candidate.dagster_run} if candidate.dagster_run else {}
    record = [] if training is None else [{"name": TRAINING_RECORD, "digest": {"sha256": sha256_hex(training)}}]
    tracked = [{"name": "mlflow run", "uri": f"urn:mlflow:run:{candidate.mlflow_run}"}] if candidate.mlflow_run else []
    return {
        "buildDefinition": build_definition(candidate),
        "runDetails": {
            "builder": {"id": f"urn:roadbed:code-location:{candidate.model.partition('/')[0]}"},
            "metadata": run,
            "byproducts": [*record, *tracked],
        },
    }


def build_definition(candidate: Candidate) -> dict[str, Any]:
    """What decides the bytes of the bundle. Digests that are no SHA-256 of a file have names of their own."""
    fingerprint = candidate.fingerprint
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {"model": candidate.model, "partition": candidate.partition, "label": candidate.label},
        "internalParameters": {
            "config": fingerprint.config,
            "seed": fingerprint.seed,
            "threads": fingerprint.threads,
            "hardware": fingerprint.hardware,
        },
        "resolvedDependencies": [
            _table(TRAINING_SET, candidate.training_set),
            {"name": "code", "digest": {"roadbedCodeClosure": _hex(fingerprint.code)}},
            {"name": "requirements.lock", "digest": {"sha256": _hex(fingerprint.lock)}},
            *_commit(fingerprint),
        ],
    }


def _commit(fingerprint: Fingerprint) -> list[dict[str, Any]]:
    """The commit, if the code was in a repository: a digest that is none would be a lie in SLSA's words."""
    if fingerprint.commit is None:
        return []
    changed = {"uncommittedChanges": fingerprint.dirty}
    return [{"name": "commit", "digest": {"gitCommit": fingerprint.commit}, "annotations": changed}]


def evaluation(identity: str, decision: Decision) -> tuple[str, Statement]:
    """The gates of the decision `identity` as a test result, and the attestation's name."""
    name = f"{EVALUATION}{decision.environment}"
    configuration = [
        {
            "name": f"policy {decision.environment} version {decision.policy_version}",
            "digest": _digest(decision.policy),
        },
        {"name": "candidate", "digest": _digest(decision.candidate)},
    ]
    predicate = {
        "result": "FAILED" if decision.verdict == "refused" else "PASSED",
        "configuration": configuration,
        **_tests(decision.results),
        "decision": identity,
        "verdict": decision.verdict,
        "gates": msgspec.to_builtins(decision.results),
    }
    return name, statement_about(decision.bundle, name, predicate)


def _tests(results: tuple[GateResult, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {outcome: [] for outcome in _OUTCOMES.values()}
    for result in results:
        outcome = "warnedTests" if result.status == "failed" and not result.blocks else _OUTCOMES[result.status]
        found[outcome].append(result.name)
    return found


def _table(name: str, table: TableRef) -> dict[str, Any]:
    return {
        "name": name,
        "uri": f"urn:roadbed:table:{table.table}:{table.partition}",
        "digest": {"roadbedTable": _hex(table.digest)},
    }


def _digest(digest: str) -> dict[str, str]:
    return {"sha256": _hex(digest)}


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
