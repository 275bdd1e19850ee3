"""The gate on attestations: what the authority signed is about this bundle, and says what the candidate recorded."""

from collections.abc import Iterator

from formats.attestation import REQUIRED, Required
from formats.errors import IntegrityError
from platform_assets.promotion.attestations import build_definition
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.results import Finding, finding, listed
from platform_assets.promotion.spec import GateResult, SignatureVerified


def signature_verified(case: PromotionCase, gate: SignatureVerified) -> GateResult:
    """All attestations that are absent, do not count, or say something else than the candidate."""
    failures = [found for name in REQUIRED for found in _findings(case, name)]
    return listed(gate, failures, f"{', '.join(REQUIRED)} are signed by a trusted key, and about this bundle")


def _findings(case: PromotionCase, name: Required) -> Iterator[Finding]:
    try:
        statement = case.signed(name)
    except IntegrityError as error:
        yield finding(f"attestation {name}", error.message, "signed by a trusted key, about this bundle")
        return
    if name == "provenance":
        yield from _strangers(statement.predicate.get("buildDefinition"), build_definition(case.candidate))


def _strangers(found: object, expected: dict[str, object]) -> Iterator[Finding]:
    stated = found if isinstance(found, dict) else {}
    for field, value in expected.items():
        if stated.get(field) != value:
            yield finding(f"{field} of the provenance", stated.get(field), value)
