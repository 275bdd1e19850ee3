"""What people call a release or a bundle: a digest or its beginning, `<endpoint>[@<sequence>]`, `<team>/<model>@<cutoff>`."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from formats.errors import ReleaseError
from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.records import Decision, Release
from resources.ledger import Entry

# `sha256:` and twelve digits: what tables show.
_SHORTEST = 19
_CUTOFF = re.compile(r"(?P<model>\w+/\w+)@(?P<cutoff>\d{4}-\d{2}-\d{2})")


class Named(NamedTuple):
    """A bundle as someone named it: the release, if that was named, and the candidate that proposed the bundle.

    `decision` is the release's; None when nobody named a release, or the key that signed its decision was revoked.
    """

    name: str
    bundle: str
    release: Release | None
    decision: Decision | None
    proposed: Entry

    @property
    def candidate(self) -> Candidate:
        """What was built from what. Raises LedgerError if the entry cannot be used."""
        return candidate_of(self.proposed)


def named(evidence: Evidence, name: str) -> Named:
    """The release or bundle that `name` means. Raises ReleaseError if there is none, or several."""
    release = _release(evidence, name)
    if release is not None:
        decision = evidence.pointers.find_decision(release.approval.decision)
        return Named(name, release.bundle, release, decision, _proposed(evidence, release, decision))
    rows = _candidates(evidence)
    if (found := _CUTOFF.fullmatch(name)) is not None:
        proposed = _of_cutoff(rows.values(), found["model"], found["cutoff"])
        return Named(name, proposed.subject, None, None, proposed)
    bundle = only(rows, name, "release or bundle")
    return Named(name, bundle, None, None, rows[bundle])


def only(known: Iterable[str], name: str, what: str) -> str:
    """The one of `known` that is `name` or begins with it. Raises ReleaseError if there is none, or several."""
    found = sorted({one for one in known if _is(one, name)})
    if len(found) == 1:
        return found[0]
    raise ReleaseError(
        "release-missing",
        f"{len(found)} entries of the ledger are a {what} called {name!r}",
        f"give a digest or its first {_SHORTEST} characters, as `roadbed history` shows them; <endpoint> for what is live "
        "there, <endpoint>@<number> for one of its releases, or <team>/<model>@<cutoff>",
    )


def _release(evidence: Evidence, name: str) -> Release | None:
    endpoint, _, number = name.partition("@")
    if endpoint.endswith("/endpoint"):
        return _of_endpoint(evidence, endpoint, number)
    known = [release.release for release in evidence.pointers.all()]
    if not any(_is(one, name) for one in known):
        return None
    return evidence.pointers.release(only(known, name, "release"))


def _of_endpoint(evidence: Evidence, endpoint: str, number: str) -> Release:
    live = evidence.pointers.champion(endpoint)
    found = (r for r in evidence.pointers.releases(endpoint) if str(r.sequence) == number)
    release = next(found, None) if number else live
    if release is None:
        what = f"release {number}" if number else "a live release"
        raise ReleaseError("release-missing", f"{endpoint} has not {what}", "`roadbed history` lists its releases")
    return release


def _of_cutoff(rows: Iterable[Entry], model: str, cutoff: str) -> Entry:
    """The newest candidate of the model that was trained up to the cutoff."""
    asked = [row for row in rows if (row.inputs.get("model"), row.inputs.get("partition")) == (model, cutoff)]
    if not asked:
        raise ReleaseError(
            "release-missing",
            f"the ledger knows no candidate of {model} that was trained up to {cutoff}",
            "`roadbed explain <team>/<model>` shows the newest; a bundle becomes a candidate when it is evaluated",
        )
    return max(asked, key=lambda row: row.sequence)


def _candidates(evidence: Evidence) -> dict[str, Entry]:
    """The newest candidate of each bundle; of rows with the same id the first."""
    return {row.subject: row for row in evidence.rows if row.kind == "candidate" and evidence.by_id[row.id] is row}


def _proposed(evidence: Evidence, release: Release, decision: Decision | None) -> Entry:
    """The candidate that the decision is about; without a decision that counts, the newest of the same bundle."""
    entry = evidence.by_id.get(decision.candidate) if decision else _candidates(evidence).get(release.bundle)
    if entry is None:
        raise ReleaseError(
            "release-missing", f"the candidate of {release.bundle} is not in the ledger", "run `roadbed ledger verify`"
        )
    return entry


def _is(known: str, name: str) -> bool:
    return known == name or (len(name) >= _SHORTEST and known.startswith(name))
