"""Two releases or bundles side by side: data, code, configuration, figures, columns and gates.

Each side is a set of facts by section, read from proven rows and from what they name by digest; the difference is taken of the
facts. What cannot be read any more is a problem of its side, and no difference.
"""

from collections.abc import Mapping

import msgspec

from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.facts import SECTIONS, Fact, Side, side_of
from platform_assets.promotion.naming import named
from resources.installation import Installation


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One fact on both sides (None: one side has it not); `difference` is b - a, of numbers."""

    what: str
    a: Fact
    b: Fact
    difference: float | None = None

    @property
    def same(self) -> bool:
        """Whether both sides agree."""
        return self.a == self.b


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """`sections` hold every fact, equal ones too. `commits`: `git diff --stat`, None where the repository lacks one of them."""

    a: Side
    b: Side
    sections: dict[str, tuple[Change, ...]]
    commits: str | None
    findings: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Whether everything on both sides is what its digest says, and the ledger is as it was signed."""
        return not (self.findings or self.a.problems or self.b.problems)


def difference(evidence: Evidence, installation: Installation, a: str, b: str) -> Difference:
    """What `a` and `b` (as `naming` has it) differ in. Raises ReleaseError if one of them is unknown."""
    from platform_assets.training.fingerprint import changes_between

    one, other = (named(evidence, name) for name in (a, b))
    facts, others = side_of(evidence, installation, one), side_of(evidence, installation, other)
    commits = [found.candidate.fingerprint.commit or "" for found in (one, other)]
    return Difference(
        a=facts.side,
        b=others.side,
        sections={section: _changes(facts.by_section[section], others.by_section[section]) for section in SECTIONS},
        commits=changes_between(*commits),
        findings=tuple(finding.message for finding in evidence.report.findings),
    )


def _changes(a: Mapping[str, Fact], b: Mapping[str, Fact]) -> tuple[Change, ...]:
    return tuple(_change(what, a.get(what), b.get(what)) for what in (*a, *(what for what in b if what not in a)))


def _change(what: str, a: Fact, b: Fact) -> Change:
    numbers = [value for value in (a, b) if isinstance(value, int | float) and not isinstance(value, bool)]
    return Change(what=what, a=a, b=b, difference=numbers[1] - numbers[0] if len(numbers) == 2 else None)
