"""The life of a release as one table: `candidate -> approved -> rolling -> live -> superseded | rolled_back`, or `refused`.

A state is entered by a ledger entry and by nothing else; what the table does not list cannot happen.
"""

from typing import Literal

from formats.errors import ReleaseError

State = Literal["candidate", "approved", "refused", "rolling", "live", "superseded", "rolled_back"]

TRANSITIONS: dict[State, frozenset[State]] = {
    "candidate": frozenset({"approved", "refused"}),
    "approved": frozenset({"rolling", "superseded", "rolled_back"}),
    "rolling": frozenset({"live", "superseded", "rolled_back"}),
    "live": frozenset({"superseded", "rolled_back"}),
    "refused": frozenset(),
    "superseded": frozenset(),
    "rolled_back": frozenset(),
}

# A release in one of these is what the endpoint should run.
DESIRED: frozenset[State] = frozenset({"approved", "rolling", "live"})


def check_transition(release: str, before: State, after: State) -> None:
    """Raise ReleaseError unless the table lets `release` go from `before` to `after`."""
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing: it is final"
        raise ReleaseError(
            "transition-forbidden",
            f"release {release} is {before} and cannot become {after}; from there it can become {allowed}",
            "look at `roadbed status`; make a new candidate or release instead",
        )
