"""Advisories in OSV's format (https://ossf.github.io/osv-schema/), one JSON file each, and what they say about a package.

What cannot be understood counts against the package: a version that is no version is affected, an advisory without a usable
severity is critical.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from packaging.version import InvalidVersion, Version

from formats.errors import DataError
from platform_assets.promotion.cvss import base_score, danger
from platform_assets.promotion.spec import Danger

_NAMES: dict[str, Danger] = {
    "LOW": "low",
    "MODERATE": "medium",
    "MEDIUM": "medium",
    "HIGH": "high",
    "CRITICAL": "critical",
}


class Match(NamedTuple):
    """An advisory that a package's version falls under."""

    advisory: str
    package: str
    version: str
    danger: Danger


class Advisories:
    """The advisories about Python packages in a folder."""

    def __init__(self, folder: Path) -> None:
        self._by_package: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        paths = sorted(folder.rglob("*.json"))
        if not paths:
            raise DataError(
                "data-missing",
                f"the advisory database {folder} has no advisories",
                "unpack OSV's PyPI archive there, one JSON file an advisory, or correct the path in the gate",
            )
        for path in paths:
            self._add(path)

    def matches(self, package: str, version: str) -> Iterator[Match]:
        """The advisories that `version` of `package` falls under, each once."""
        told, public = set(), version.partition("+")[0]  # "2.13.0+cpu" is a build of 2.13.0
        for advisory in self._by_package.get(normalized(package), []):
            if advisory["id"] not in told and any(
                normalized(part["package"]["name"]) == normalized(package) and _affected(part, public)
                for part in advisory["affected"]
                if part.get("package", {}).get("ecosystem") == "PyPI"
            ):
                told.add(advisory["id"])
                yield Match(advisory["id"], package, version, _danger(advisory))

    def _add(self, path: Path) -> None:
        try:
            advisory = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            parts = advisory.get("affected", []) if "withdrawn" not in advisory else []
            advisory["id"]  # an advisory without a name cannot be told
            for name in {p["package"]["name"] for p in parts if p.get("package", {}).get("ecosystem") == "PyPI"}:
                self._by_package[normalized(name)].append(advisory)
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                "data-missing", f"{path} is no advisory in OSV's format ({error})", "fetch the database again"
            ) from error


def normalized(name: str) -> str:
    """A package's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _affected(part: Mapping[str, Any], version: str) -> bool:
    if version in part.get("versions", ()):
        return True
    ranges = [r["events"] for r in part.get("ranges", ()) if r.get("type") == "ECOSYSTEM"]
    try:
        return any(_within(events, Version(version)) for events in ranges)
    except InvalidVersion:
        return True


def _within(events: Sequence[Mapping[str, str]], version: Version) -> bool:
    """OSV's evaluation: the events in order of version, the last one that is not after ours decides."""
    inside = False
    for kind, bound in sorted(_ordered(events), key=lambda event: event[1]):
        if kind == "introduced" and version >= bound:
            inside = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            inside = False
    return inside


def _ordered(events: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, Version]]:
    for event in events:
        for kind, bound in event.items():
            yield kind, Version("0.dev0" if bound == "0" else bound)


def _danger(advisory: Mapping[str, Any]) -> Danger:
    named = str(advisory.get("database_specific", {}).get("severity", "")).upper()
    if named in _NAMES:
        return _NAMES[named]
    scores = []
    for rating in advisory.get("severity", ()):
        try:
            scores.append(base_score(rating["score"]))
        except (ValueError, KeyError):
            continue
    return danger(max(scores)) if scores else "critical"
