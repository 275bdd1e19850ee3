"""Signing what is on record about a proposed bundle. The authority hands the attestations out; whoever asked stores them.

So the service needs no right to write bundles, and what was lost or damaged on the way is asked for again: signing is
deterministic, so the same record and key give the same bytes.
"""

import msgspec

from formats.attestation import sign_statement
from formats.bundle import read_manifest
from platform_assets.promotion.attestations import evaluation, statements
from platform_assets.promotion.candidate import candidate_of, recorded_document, require_recorded
from platform_assets.promotion.desk import Desk, proposed
from platform_assets.promotion.messages import Attest, Attested
from platform_assets.training.record import record_of
from resources.bundle_store import FileBundleStore


def attest(desk: Desk, request: Attest) -> Attested:
    """Sign what the newest candidate entry of the bundle says.

    Raises:
        PromotionError: nobody proposed the bundle for the model.
        DataError, IntegrityError: the bundle or its bill of materials is gone, or not the recorded one.
    """
    store = FileBundleStore(desk.home.bundles)
    candidate = candidate_of(proposed(desk, request.bundle, request.model))
    manifest = read_manifest(store.open(request.bundle), request.bundle)
    sbom = require_recorded(candidate, "sbom", recorded_document(store, candidate, "sbom"))
    training = record_of(store, request.bundle, candidate.fingerprint)
    found = statements(manifest, candidate, msgspec.json.decode(sbom, type=dict), training)
    documents = {name: sign_statement(statement, desk.key).decode() for name, statement in found.items()}
    return Attested(bundle=request.bundle, documents=documents)


def attest_evaluation(desk: Desk, identity: str) -> Attested:
    """Sign the gates' results of the decision `identity`."""
    decision = desk.pointers.decision(identity)
    name, statement = evaluation(identity, decision)
    return Attested(bundle=decision.bundle, documents={name: sign_statement(statement, desk.key).decode()})
