"""The whole table of transitions, written out a second time: what is not in it cannot happen."""

from itertools import product
from typing import get_args

import pytest

from formats.errors import ReleaseError
from formats.lifecycle import DESIRED, TRANSITIONS, State, check_transition

STATES: tuple[State, ...] = get_args(State)
ALLOWED = {
    ("candidate", "approved"),
    ("candidate", "refused"),
    ("approved", "rolling"),
    ("approved", "superseded"),
    ("approved", "rolled_back"),
    ("rolling", "live"),
    ("rolling", "superseded"),
    ("rolling", "rolled_back"),
    ("live", "superseded"),
    ("live", "rolled_back"),
}


@pytest.mark.parametrize(("before", "after"), product(STATES, STATES))
def test_exactly_the_listed_transitions_are_allowed(before: State, after: State) -> None:
    if (before, after) in ALLOWED:
        check_transition("r1", before, after)
        return
    with pytest.raises(ReleaseError, match=f"release r1 is {before} and cannot become {after}") as caught:
        check_transition("r1", before, after)
    assert caught.value.code == "transition-forbidden"


def test_every_state_is_in_the_table_and_reached_from_candidate() -> None:
    assert set(TRANSITIONS) == set(STATES)
    reached: set[State] = {"candidate"}
    for _ in STATES:
        reached |= {after for state in reached for after in TRANSITIONS[state]}
    assert reached == set(STATES)


def test_nothing_final_is_desired() -> None:
    assert {"approved", "rolling", "live"} == DESIRED
    assert all(TRANSITIONS[state] for state in DESIRED)


def test_a_final_state_says_that_it_is() -> None:
    with pytest.raises(ReleaseError, match="nothing: it is final"):
        check_transition("r1", "refused", "approved")
