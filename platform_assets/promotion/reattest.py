"""All bundles that one key attested, attested again by the key that signs now: after a rotation, before or after a revocation.

What is left to do is read from the bundles themselves, so it may be killed and run again; each one done is a row of the ledger.
"""

from collections.abc import Iterator
from typing import NamedTuple

from formats.attestation import REQUIRED, SUFFIX, signers
from formats.errors import PromotionError, RoadbedError
from formats.failpoints import failpoint
from platform_assets.promotion.attested import have_attested
from platform_assets.promotion.authority_client import Authority
from resources.installation import Installation


class Left(NamedTuple):
    """A bundle of which the key signed `names`, and the model that it was last proposed for (None: nobody proposed it)."""

    bundle: str
    model: str | None
    names: tuple[str, ...]


class Done(NamedTuple):
    """A bundle that was attested again; `failed` says why it was not."""

    bundle: str
    failed: str = ""


def attested_by(installation: Installation, keyid: str) -> tuple[Left, ...]:
    """The bundles with a required attestation of the key `keyid`, by digest."""
    proposed = {entry.subject: str(entry.inputs.get("model")) for entry in installation.ledger.entries("candidate")}
    found = ((stored.digest, _of_key(installation, stored.digest, keyid)) for stored in installation.bundles.stored())
    return tuple(Left(bundle, proposed.get(bundle), names) for bundle, names in found if names)


def attest_again(installation: Installation, authority: Authority, keyid: str, *, actor: str) -> Iterator[Done]:
    """Have each of them attested anew, and tell so one by one. One that cannot be is told too, and does not stop the others.

    Raises PromotionError if the key is the one that signs: everything would be as before.
    """
    signing = authority.initialise().keyid
    if signing == keyid:
        raise PromotionError(
            "candidate-refused",
            f"{keyid} is the key that signs, so nothing would change",
            "`roadbed ledger rotate-key` lets a new one sign",
        )
    for left in attested_by(installation, keyid):
        yield _again(installation, authority, left, {"from": keyid, "to": signing}, actor)


def _again(installation: Installation, authority: Authority, left: Left, keys: dict[str, str], actor: str) -> Done:
    if left.model is None:
        return Done(left.bundle, "nobody proposed it here; an imported bundle is evaluated first")
    try:
        # Before: a row of what is about to be done twice is one row, and of what is done there is one for certain.
        installation.ledger.append(
            kind="reattestation",
            subject=left.bundle,
            inputs={"bundle": left.bundle, **keys},
            body={"model": left.model, "names": list(left.names)},
            actor=actor,
            at=installation.clock.now(),
        )
        failpoint("attestation.before_again")
        have_attested(authority, installation.bundles, left.bundle, left.model)
    except RoadbedError as error:
        return Done(left.bundle, error.message)
    return Done(left.bundle)


def _of_key(installation: Installation, bundle: str, keyid: str) -> tuple[str, ...]:
    documents = ((name, installation.bundles.attestation(bundle, f"{name}{SUFFIX}")) for name in REQUIRED)
    return tuple(name for name, document in documents if document is not None and keyid in signers(document))
