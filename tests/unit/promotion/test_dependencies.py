"""The bill of materials, and what advisories and licences say about it."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from formats.errors import DataError
from platform_assets.promotion.advisories import Advisories, Match
from platform_assets.promotion.card import make_card
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.cvss import base_score, danger
from platform_assets.promotion.sbom import Package, installed_packages, make_sbom
from platform_assets.promotion.spec import Card, DependenciesScanned
from tests.support import promotion_case as world
from tests.support.promotion_case import case, run

BUNDLE = "sha256:" + "ab" * 32
PACKAGES = (
    Package("leftpad", "1.4.0", "MIT"),
    Package("copied", "2.0", "GPL-3.0-only"),
    Package("torch", "2.13.0+cpu", "BSD-3-Clause"),
)
HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"


def sbom(packages: tuple[Package, ...] = PACKAGES, bundle: str = BUNDLE) -> bytes:
    declared = Card(intended_use="Boards.", limitations=("New York.",))
    slices = {"origin": [{"origin": "JFK", "auc": 0.8}, {"origin": "LGA", "auc": None}]}
    return make_sbom(
        make_card(world.candidate(bundle=bundle), "team:aviation", declared, {"auc": 0.7}, slices), packages
    )


def listed(tmp_path: Path, **options: Any) -> PromotionCase:
    return case(tmp_path, bundle=BUNDLE, documents={"sbom": sbom(**options)})


def advisory(identity: str = "PYSEC-1", name: str = "leftpad", **changes: Any) -> dict[str, Any]:
    events = [{"introduced": "1.0"}, {"fixed": "1.5"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": changes.pop("events", events)}],
        "versions": changes.pop("versions", []),
    }
    return {"id": identity, "affected": [affected], "severity": [{"type": "CVSS_V3", "score": HIGH}], **changes}


def database(folder: Path, *advisories: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(advisories):
        (folder / f"{number}.json").write_text(json.dumps(content))
    return folder


# Bill of materials


def test_the_bill_of_materials_is_valid_and_says_what_there_is() -> None:
    document = sbom()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode()) is None
    plain = json.loads(document)
    about = plain["metadata"]["component"]
    assert (about["type"], about["version"]) == ("machine-learning-model", BUNDLE)
    assert about["modelCard"]["considerations"]["technicalLimitations"] == ["New York."]
    assert {part["name"]: part["version"] for part in plain["components"]} == {p.name: p.version for p in PACKAGES}
    assert plain["components"][0]["purl"].startswith("pkg:pypi/")


def test_equal_bundles_in_equal_environments_have_equal_bills() -> None:
    assert sbom() == sbom()
    assert sbom() != sbom(PACKAGES[:1])


def test_the_environment_is_listed() -> None:
    found = {package.name: package for package in installed_packages()}
    assert found["polars"].licence == "MIT License"
    assert found["typing-extensions"].version
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom(installed_packages()).decode()) is None


# The gate


def test_without_a_database_it_says_not_scanned(tmp_path: Path) -> None:
    found = run(listed(tmp_path), DependenciesScanned())
    assert (found.status, "not scanned" in found.message) == ("attested", True)


def test_without_a_bill_of_materials_it_has_failed(tmp_path: Path) -> None:
    assert run(case(tmp_path), DependenciesScanned()).status == "failed"
    assert run(listed(tmp_path, packages=()), DependenciesScanned()).status == "failed"
    assert run(listed(tmp_path, bundle="sha256:" + "cd" * 32), DependenciesScanned()).status == "failed"


@pytest.mark.parametrize(
    ("denied", "status"),
    [(("GPL-3.0",), "failed"), (("gpl",), "failed"), (("AGPL", "GPL-2.0"), "attested")],
)
def test_a_denied_licence_fails_even_without_a_database(tmp_path: Path, denied: tuple[str, ...], status: str) -> None:
    found = run(listed(tmp_path), DependenciesScanned(denied_licences=denied))
    assert found.status == status
    if status == "failed":
        assert found.table[0]["what"] == "licence of copied 2.0"


@pytest.mark.parametrize(
    ("licence", "fails"),
    [("MIT OR GPL-3.0-only", False), ("MIT AND GPL-3.0-only", True), ("LGPL-3.0-only", False)],
)
def test_a_choice_of_licences_is_a_choice(tmp_path: Path, licence: str, fails: bool) -> None:
    found = listed(tmp_path, packages=(Package("copied", "2.0", licence),))
    assert (run(found, DependenciesScanned(denied_licences=("GPL",))).status == "failed") is fails


def test_a_vulnerability_fails_from_the_stated_danger_on(tmp_path: Path) -> None:
    folder = str(database(tmp_path / "osv", advisory()))
    found = run(listed(tmp_path), DependenciesScanned(database=folder))
    assert (found.status, found.table[0]["what"]) == ("failed", "leftpad 1.4.0")
    assert "PYSEC-1 (high)" in found.table[0]["found"]
    assert run(listed(tmp_path), DependenciesScanned(database=folder, refused_from="critical")).status == "passed"


def test_a_database_without_advisories_has_failed(tmp_path: Path) -> None:
    folder = str(database(tmp_path / "osv"))
    found = run(listed(tmp_path), DependenciesScanned(database=folder))
    assert (found.status, "has no advisories" in found.message) == ("failed", True)


# Advisories


@pytest.mark.parametrize(
    ("changes", "version", "affected"),
    [
        ({}, "1.0", True),
        ({}, "1.4.9", True),
        ({}, "1.4.0+cpu", True),
        ({}, "1.5", False),
        ({}, "1.5+cpu", False),
        ({}, "0.9", False),
        ({}, "1.5rc1", True),
        ({}, "no version", True),
        ({"events": [{"introduced": "0"}, {"last_affected": "1.2"}]}, "1.2", True),
        ({"events": [{"introduced": "0"}, {"last_affected": "1.2"}]}, "1.3", False),
        ({"events": [{"introduced": "2"}, {"introduced": "0"}, {"fixed": "1"}]}, "1.4", False),
        ({"events": [{"introduced": "2"}, {"introduced": "0"}, {"fixed": "1"}]}, "2.4", True),
        ({"events": [], "versions": ["1.4"]}, "1.4", True),
        ({"events": [], "versions": ["1.4"]}, "1.5", False),
        ({"withdrawn": "2024-01-01T00:00:00Z"}, "1.4", False),
        ({"name": "Left.Pad"}, "1.4", False),
    ],
)
def test_versions_are_affected_or_not(tmp_path: Path, changes: dict[str, Any], version: str, affected: bool) -> None:
    found = Advisories(database(tmp_path / "osv", advisory(**changes))).matches("LeftPad", version)
    assert list(found) == ([Match("PYSEC-1", "LeftPad", version, "high")] if affected else [])


def test_names_are_compared_as_on_pypi(tmp_path: Path) -> None:
    found = Advisories(database(tmp_path / "osv", advisory(name="Left_Pad"))).matches("left.pad", "1.4")
    assert [match.advisory for match in found] == ["PYSEC-1"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"database_specific": {"severity": "LOW"}}, "low"),
        ({"database_specific": {"severity": "MODERATE"}}, "medium"),
        ({"severity": []}, "critical"),
        ({"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]}, "critical"),
    ],
)
def test_danger_is_what_the_advisory_says_or_the_worst(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    (found,) = Advisories(database(tmp_path / "osv", advisory(**changes))).matches("leftpad", "1.4")
    assert found.danger == expected


@pytest.mark.parametrize("content", ["no json", "[]", '{"affected": []}'])
def test_what_is_no_advisory_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "one.json").write_text(content)
    with pytest.raises(DataError, match=r"one\.json is no advisory"):
        Advisories(tmp_path)


# Severity


@pytest.mark.parametrize(
    ("vector", "score", "name"),
    [
        # FIRST, "CVSS v3.1 Examples": CVE-2013-1937, CVE-2013-0375, CVE-2014-3566, CVE-2014-0160, CVE-2014-6271, CVE-2012-1516.
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, "medium"),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, "medium"),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1, "low"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5, "high"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, "critical"),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9, "critical"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, "low"),
    ],
)
def test_published_scores(vector: str, score: float, name: str) -> None:
    assert (base_score(vector), danger(base_score(vector))) == (score, name)


@pytest.mark.parametrize(
    "vector", ["", "CVSS:2.0/AV:N", "CVSS:3.1/AV:N", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"]
)
def test_what_is_no_vector_is_refused(vector: str) -> None:
    with pytest.raises(ValueError, match="CVSS"):
        base_score(vector)
