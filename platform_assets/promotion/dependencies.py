"""What the model was built with, held against advisories and licences, as far as the SBOM tells."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from formats.errors import DataError
from platform_assets.promotion.advisories import Advisories
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.results import Finding, finding, listed, result
from platform_assets.promotion.spec import Danger, DependenciesScanned, GateResult

_ORDER: tuple[str, ...] = get_args(Danger)


class Dependency(NamedTuple):
    """A package in the SBOM, and the licences that it states."""

    name: str
    version: str
    licences: tuple[str, ...]


def dependencies_scanned(case: PromotionCase, gate: DependenciesScanned) -> GateResult:
    """No denied licence, and no advisory of the stated danger; without a database the vulnerabilities are not scanned."""
    found = list(_dependencies(case))
    failures = list(_denied(found, gate.denied_licences))
    if gate.database:
        failures += _vulnerable(found, Advisories(Path(gate.database)), gate.refused_from)
    if failures:
        return listed(gate, failures, "")
    licences = f", {len(gate.denied_licences)} denied licences do not occur" if gate.denied_licences else ""
    if not gate.database:
        return result(gate, "attested", f"not scanned for vulnerabilities: no database is configured{licences}")
    good = f"{len(found)} dependencies have no advisory of danger {gate.refused_from} or worse{licences}"
    return listed(gate, (), good)


def _dependencies(case: PromotionCase) -> Iterator[Dependency]:
    document = msgspec.json.decode(case.attestation("sbom"))
    components = document.get("components") if isinstance(document, dict) else None
    about = document["metadata"]["component"] if components else {}
    if not components or about.get("version") != case.candidate.bundle:
        raise DataError(
            "data-missing",
            f"the SBOM lists no components of {case.candidate.bundle[:19]}",
            "materialize the evaluation, which writes it",
        )
    for component in components:
        yield Dependency(component["name"], str(component.get("version", "")), tuple(_licences(component)))


def _licences(component: dict[str, Any]) -> Iterator[str]:
    for stated in component.get("licenses", ()):
        licence = stated.get("license", {})
        yield str(stated.get("expression") or licence.get("id") or licence.get("name", ""))


def _denied(found: list[Dependency], denied: tuple[str, ...]) -> Iterator[Finding]:
    for dependency in found:
        for licence in dependency.licences:
            if any(_names(licence, name) for name in denied):
                yield finding(f"licence of {dependency.name} {dependency.version}", licence, "none that is denied")


def _names(licence: str, denied: str) -> bool:
    # "GPL-3.0" denies "GPL-3.0-only" and "MIT AND GPL-3.0-only", not "LGPL-3.0-only"; with OR there is a choice.
    choices = licence.casefold().split(" or ")
    wanted = denied.casefold()
    return all(any(part.strip("() ").startswith(wanted) for part in choice.split(" and ")) for choice in choices)


def _vulnerable(found: list[Dependency], advisories: Advisories, refused_from: Danger) -> Iterator[Finding]:
    least = _ORDER.index(refused_from)
    for dependency in found:
        for match in advisories.matches(dependency.name, dependency.version):
            if _ORDER.index(match.danger) >= least:
                what = f"{match.package} {match.version}"
                yield finding(what, f"{match.advisory} ({match.danger})", f"nothing of danger {refused_from} or worse")
