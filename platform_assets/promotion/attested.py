"""Asking for the attestations of a bundle, storing them beside it, and whether they count here."""

from formats.attestation import SUFFIX, require_attested
from formats.bundle import read_manifest
from formats.errors import IntegrityError
from formats.failpoints import failpoint
from formats.home import Home
from platform_assets.promotion.authority_client import Authority
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.messages import Attested
from resources.bundle_store import BundleStore


def have_attested(authority: Authority, bundles: BundleStore, bundle: str, model: str) -> None:
    """Have a proposed bundle attested. Asked again it changes nothing, or mends what was damaged since.

    Raises what the authority refuses.
    """
    store_attestations(bundles, authority.attest(bundle, model))


def store_attestations(bundles: BundleStore, attested: Attested) -> None:
    """Put attestations beside their bundle, those that are not there in these bytes."""
    for name, document in attested.documents.items():
        failpoint("attestation.before_store")
        if bundles.attestation(attested.bundle, f"{name}{SUFFIX}") != document.encode():
            bundles.attest(attested.bundle, f"{name}{SUFFIX}", document.encode())


def is_attested(home: Home, bundle: str) -> bool:
    """Whether every required attestation of the bundle counts with this installation's keys."""
    folder = home.bundles / bundle.removeprefix("sha256:")
    try:
        require_attested(folder, read_manifest(folder, bundle), trusted_keys(home))
    except IntegrityError:
        return False
    return True
