"""A server loads what the authority attested, and nothing else: at its start, at each change, and after a revocation."""

import asyncio
from pathlib import Path

import pytest

from formats.attestation import REQUIRED, attestation_path
from formats.bundle import read_manifest
from formats.home import Home
from formats.release import ReleaseDocument
from formats.signing import key_id, new_private_key, public_pem
from formats.trusted_keys import CURRENT, RETIRED, REVOKED
from serving.clock import ServingClock
from serving.releases import Releases
from tests.support.bundles import (
    ENDPOINT,
    authority_key,
    deploy,
    deploy_model,
    payload,
    release,
    sign_attestations,
    store_bundle,
)

pytestmark = pytest.mark.attack


class Place:
    """A home with a release, and a server's view of it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.document = deploy_model(self.home)
        self.releases = self.started()

    def started(self) -> Releases:
        return Releases(self.home, ENDPOINT, ServingClock(self.home.clock), lambda _: None)

    def poll(self) -> tuple[str, str | None]:
        """What the server is in, and the code of its fault."""
        asyncio.run(self.releases.poll())
        return self.releases.state, self.releases.fault and self.releases.fault.code

    def folder(self, document: ReleaseDocument) -> Path:
        return self.home.bundles / document.bundle.removeprefix("sha256:")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_is_attested_is_served(place: Place) -> None:
    assert place.poll() == ("serving", None)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_server_does_not_start_without_an_attestation(place: Place, name: str) -> None:
    attestation_path(place.folder(place.document), name).unlink()
    assert place.poll() == ("refusing", "signature-invalid")


def test_a_change_to_what_is_not_attested_is_held_off(place: Place) -> None:
    place.poll()
    other = release(store_bundle(place.home, payload(bias=1.0)), 2)
    attestation_path(place.folder(other), "provenance").write_bytes(b"{}")
    deploy(place.home, other)
    assert place.poll() == ("holding", "signature-invalid")
    assert place.releases.current().document == place.document


def test_another_bundles_attestations_do_not_count(place: Place) -> None:
    other = release(store_bundle(place.home, payload(bias=1.0)), 2)
    for name in REQUIRED:
        taken = attestation_path(place.folder(place.document), name).read_bytes()
        attestation_path(place.folder(other), name).write_bytes(taken)
    deploy(place.home, other)
    assert place.poll() == ("refusing", "signature-invalid")


def test_a_revoked_keys_bundles_are_refused_at_the_next_load(place: Place) -> None:
    place.poll()
    first, second = authority_key(place.home), new_private_key()
    folder = place.home.authority
    (folder / RETIRED).mkdir()
    (folder / RETIRED / f"{key_id(first.public_key())}.pub").write_bytes(public_pem(first.public_key()))
    (folder / CURRENT).write_bytes(public_pem(second.public_key()))
    place.releases = place.started()
    assert place.poll() == ("serving", None), "what a replaced key signed still counts"
    (folder / REVOKED).write_text(f"{key_id(first.public_key())}\n")
    renewed = release(place.document.bundle, 2)
    deploy(place.home, renewed, second)
    assert place.poll() == ("holding", "signature-invalid"), "the new key signed the release, and not the bundle"
    place.releases = place.started()
    assert place.poll() == ("refusing", "signature-invalid")
    manifest = read_manifest(place.folder(renewed), renewed.bundle)
    sign_attestations(place.home, manifest, second)
    place.releases = place.started()
    assert place.poll() == ("serving", None)
