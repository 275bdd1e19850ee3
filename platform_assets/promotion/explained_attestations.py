"""What was signed about a bundle, each attestation verified as it is told: what it is, by whose key, and what it says."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from formats.attestation import REQUIRED, SUFFIX, open_attestation, signers
from formats.attestation import Statement as Attestation
from formats.bundle import Manifest, read_manifest
from formats.canonical import sha256_hex
from formats.errors import RoadbedError
from formats.signing import key_id
from formats.trusted_keys import revoked_ids
from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.keys import trusted_keys
from resources.installation import Installation

_ORIGIN = "origin-"

Facts = dict[str, str]


def attestation_links(installation: Installation, bundle: str) -> Iterator[Link]:
    """One link for each attestation beside `bundle`; one that is required and absent is told as broken."""
    try:
        manifest = read_manifest(installation.bundles.open(bundle), bundle)
    except RoadbedError:
        return  # that the bundle is damaged is told by its own link
    stored = [name.removesuffix(SUFFIX) for name in installation.bundles.attestations(bundle) if name.endswith(SUFFIX)]
    for name in (*REQUIRED, *(name for name in stored if name not in REQUIRED)):
        document = installation.bundles.attestation(bundle, f"{name}{SUFFIX}")
        if document is None:
            yield Link(f"attestation {name}", {}, False, "it is not there, and no server loads a bundle without it")
        elif name.startswith(_ORIGIN):
            yield Link(f"attestation {name}", _signed(installation, document), None, "of another installation")
        else:
            yield _link(installation, manifest, name, document)


def _link(installation: Installation, manifest: Manifest, name: str, document: bytes) -> Link:
    facts = _signed(installation, document)
    try:
        found = open_attestation(document, name, manifest, trusted_keys(installation.home))
    except RoadbedError as error:
        return Link(f"attestation {name}", facts, False, error.message)
    facts = {"predicate": found.predicate_type, **facts, **_told(installation, name, found)}
    return Link(f"attestation {name}", facts, True, "signed by a trusted key, about exactly this bundle")


def _signed(installation: Installation, document: bytes) -> Facts:
    """Who signed, and whether that key still signs, is retired or was revoked."""
    keys, revoked = [key_id(key) for key in trusted_keys(installation.home)], revoked_ids(installation.home.authority)
    standing = dict.fromkeys(revoked, "revoked") | dict.fromkeys(keys, "retired") | dict.fromkeys(keys[:1], "signs now")
    return {"signed by": ", ".join(f"{one} ({standing.get(one, 'unknown here')})" for one in signers(document))}


def _told(installation: Installation, name: str, found: Attestation) -> Facts:
    tell = _TELLS.get(name, _evaluation)
    try:
        return tell(installation, found)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # Signed is what was on record, and that came from a team.
        return {"says": f"what cannot be summed up ({type(error).__name__})"}


def _files(_: Installation, found: Attestation) -> Facts:
    return {"says": f"{len(found.predicate['resources'])} files, each by SHA-256"}


def _provenance(_: Installation, found: Attestation) -> Facts:
    build, run = found.predicate["buildDefinition"], found.predicate["runDetails"]
    parameters = (f"{name} {value}" for name, value in build["externalParameters"].items())
    materials = {f"material {one['name']}": _digests(one) for one in build["resolvedDependencies"]}
    return {
        "builder": run["builder"]["id"],
        "build type": build["buildType"],
        "parameters": ", ".join(parameters),
        "invocation": run["metadata"].get("invocationId", "none"),
        **materials,
    }


def _digests(material: dict[str, Any]) -> str:
    notes = (f"{name}: {value}" for name, value in material.get("annotations", {}).items())
    return ", ".join([*(f"{kind}:{value}" for kind, value in material["digest"].items()), *notes])


def _sbom(installation: Installation, found: Attestation) -> Facts:
    bundle = found.subject[0].name
    documents = {name: installation.bundles.attestation(bundle, name) for name in ("sbom", "card")}
    digests = {name: f"sha256:{sha256_hex(data)}" for name, data in documents.items() if data is not None}
    same = documents["sbom"] is not None and msgspec.json.decode(documents["sbom"]) == found.predicate
    return {
        "says": f"{found.predicate.get('bomFormat')} {found.predicate.get('specVersion')}, "
        f"{len(found.predicate.get('components', ()))} components",
        **digests,
        "document": "says the same" if same else "ABSENT, OR SAYS OTHERWISE",
    }


def _evaluation(_: Installation, found: Attestation) -> Facts:
    says = found.predicate
    outcomes = (f"{len(says.get(name, ()))} {told}" for name, told in _OUTCOMES.items())
    return {"result": says["result"], "gates": ", ".join(outcomes), "decision": says["decision"]}


_OUTCOMES = {"passedTests": "passed", "warnedTests": "warned", "failedTests": "failed"}

_TELLS: dict[str, Callable[[Installation, Attestation], Facts]] = {
    "signature": _files,
    "provenance": _provenance,
    "sbom": _sbom,
}
