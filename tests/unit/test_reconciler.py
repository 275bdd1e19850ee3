from dataclasses import replace

import pytest

from resources.reconciler import Action, Decision, Desired, History, Limits, Seen, State, reconcile

LIMITS = Limits(stable_seconds=3, crashes=3, crash_window=60, first_delay=1, last_delay=8, silent_seconds=10)
WANTED = Desired("v1")
GONE = Seen(running=False)
SILENT = Seen(running=True)
UNREADY = Seen(running=True, answers=True)
READY = Seen(running=True, answers=True, ready=True, release="r1")


class Story:
    """A sequence of ticks over one history."""

    def __init__(self) -> None:
        self.history = History()

    def state(self) -> State:
        return self.history.state

    def tick(self, now: float, seen: Seen, desired: Desired = WANTED) -> Action:
        decision: Decision = reconcile(desired, seen, self.history, LIMITS, now)
        self.history = decision.history
        return decision.action


def test_starts_gates_and_becomes_stable() -> None:
    story = Story()
    assert story.tick(0, GONE) == "start"
    assert story.state() == "starting"
    assert story.tick(1, SILENT) == "wait"
    assert story.state() == "starting"
    story.tick(2, UNREADY)
    assert story.state() == "unready"
    story.tick(3, READY)
    assert story.state() == "stabilizing"
    story.tick(5.9, READY)
    assert story.state() == "stabilizing"
    story.tick(6, READY)
    assert story.state() == "stable"


@pytest.mark.parametrize("break_", [UNREADY, replace(READY, release="r2")])
def test_an_interruption_or_another_release_starts_the_gate_anew(break_: Seen) -> None:
    story = Story()
    story.tick(0, GONE)
    story.tick(1, READY)
    story.tick(3, break_)
    story.tick(5, READY)
    assert story.state() == "stabilizing"
    story.tick(8, READY)
    assert story.state() == "stable"


def test_a_new_release_is_swapped_without_a_restart() -> None:
    story = Story()
    story.tick(0, GONE)
    story.tick(1, READY)
    assert story.tick(9, READY, Desired("v2")) == "wait"
    assert story.state() == "stable"
    assert story.tick(10, replace(READY, release="r2"), Desired("v2")) == "wait"
    assert story.state() == "stabilizing"


def test_crashes_back_off_exponentially_then_open_the_breaker() -> None:
    story = Story()
    assert story.tick(0, GONE) == "start"
    assert story.tick(1, GONE) == "wait"
    assert story.tick(1.9, GONE) == "wait"
    assert story.tick(2, GONE) == "start"
    assert story.tick(3, GONE) == "wait"
    assert story.tick(4.9, GONE) == "wait"
    assert story.tick(5, GONE) == "start"
    assert story.tick(6, GONE) == "wait"
    assert story.state() == "crash_loop"
    assert story.history.restarts == 3
    assert story.tick(10_000, GONE) == "wait"


def test_a_new_release_closes_the_breaker() -> None:
    story = Story()
    story.history = History(version="v1", broken=True, crashes=(1, 2, 3), restarts=3)
    assert story.tick(10, GONE) == "wait"
    assert story.tick(11, GONE, Desired("v2")) == "start"
    assert story.history.restarts == 0


def test_crashes_outside_of_the_window_are_forgiven() -> None:
    story = Story()
    now = 0.0
    for _ in range(10):
        assert story.tick(now, GONE) == "start"
        story.tick(now + 1, READY)
        story.tick(now + 50, GONE)
        now += 100
    assert story.state() != "crash_loop"


def test_delay_has_an_upper_bound() -> None:
    limits = replace(LIMITS, crashes=99, crash_window=1e9)
    crashed = History(version="v1", launched=True, crashes=tuple(float(n) for n in range(20)))
    assert reconcile(WANTED, GONE, crashed, limits, 100).history.retry_at == 108


def test_sleep_stops_without_counting_a_crash_and_wake_starts() -> None:
    story = Story()
    asleep = Desired("v1", asleep=True)
    story.tick(0, GONE)
    assert story.tick(1, READY, asleep) == "stop"
    assert story.state() == "asleep"
    assert story.tick(2, SILENT, asleep) == "stop"
    assert story.tick(3, GONE, asleep) == "wait"
    assert story.tick(4, GONE) == "start"
    assert story.history.crashes == ()


def test_woken_while_still_stopping_it_ends_first() -> None:
    story = Story()
    story.tick(0, GONE)
    story.tick(1, READY, Desired("v1", asleep=True))
    assert story.tick(2, READY) == "stop"
    assert story.tick(3, GONE) == "start"


def test_without_a_release_nothing_runs() -> None:
    story = Story()
    assert story.tick(0, GONE, Desired(None)) == "wait"
    story.tick(1, GONE)
    assert story.tick(2, READY, Desired(None)) == "stop"
    assert story.tick(3, GONE, Desired(None)) == "wait"
    assert story.state() == "unready"


def test_a_hung_server_is_killed_and_counts_as_a_crash() -> None:
    story = Story()
    story.tick(0, GONE)
    story.tick(1, READY)
    assert story.tick(2, SILENT) == "wait"
    assert story.tick(11, SILENT) == "wait"
    assert story.tick(12, SILENT) == "kill"
    story.tick(13, GONE)
    assert len(story.history.crashes) == 1


def test_nothing_is_decided_twice() -> None:
    history = reconcile(WANTED, GONE, History(), LIMITS, 0).history
    first = reconcile(WANTED, READY, history, LIMITS, 1)
    assert reconcile(WANTED, READY, first.history, LIMITS, 1) == first


def test_a_restart_ends_the_server_in_order_and_starts_it_again() -> None:
    story = Story()
    again = replace(WANTED, restart="once")
    story.tick(0, GONE)
    story.tick(1, READY)
    assert story.tick(5, READY, again) == "stop"
    assert story.state() == "starting"
    assert story.tick(6, READY, again) == "stop"
    assert story.tick(7, GONE, again) == "start"
    assert story.tick(8, READY, again) == "wait"
    assert story.state() == "stabilizing"
    assert (story.history.crashes, story.history.restarts) == ((), 0)
    assert story.tick(20, READY, again) == "wait"


def test_a_restart_closes_the_breaker() -> None:
    story = Story()
    story.history = History(version="v1", broken=True, crashes=(1, 2, 3), restarts=3, retry_at=99)
    assert story.tick(10, GONE) == "wait"
    assert story.tick(11, GONE, replace(WANTED, restart="once")) == "start"
    assert (story.history.restarts, story.history.broken) == (0, False)


def test_whoever_is_put_to_sleep_wakes_with_a_clean_slate() -> None:
    story = Story()
    story.history = History(version="v1", broken=True, crashes=(1, 2, 3), restarts=3)
    assert story.tick(10, GONE, Desired("v1", asleep=True)) == "wait"
    assert story.state() == "asleep"
    assert story.tick(11, GONE) == "start"


@pytest.mark.parametrize(
    ("now", "idle", "action"),
    [(40, 30, "nap"), (40, 29, "wait"), (31, 30, "wait"), (40, 0, "wait")],
    ids=["idle", "asked lately", "stable for less", "busy"],
)
def test_idleness_counts_from_the_last_caller_and_from_being_ready(now: float, idle: float, action: Action) -> None:
    story, wanted = Story(), replace(WANTED, idle_after=30.0)
    story.tick(0, GONE, wanted)
    story.tick(2, READY, wanted)
    assert story.tick(now, replace(READY, idle=idle), wanted) == action


def test_idleness_does_not_cut_the_gate_short() -> None:
    story, wanted = Story(), replace(WANTED, idle_after=0.0)
    story.tick(0, GONE, wanted)
    assert [story.tick(now, replace(READY, idle=9), wanted) for now in (2, 3, 4.9, 5)] == [*["wait"] * 3, "nap"]


@pytest.mark.parametrize("seen", [UNREADY, SILENT, GONE])
def test_who_is_not_ready_does_not_nap(seen: Seen) -> None:
    story, wanted = Story(), replace(WANTED, idle_after=1.0)
    story.tick(0, GONE, wanted)
    story.tick(2, READY, wanted)
    assert story.tick(8, replace(seen, idle=8), wanted) != "nap"


def test_nobody_naps_who_was_not_told_to() -> None:
    story = Story()
    story.tick(0, GONE)
    story.tick(2, READY)
    assert story.tick(1e9, replace(READY, idle=1e9)) == "wait"


def test_two_restarts_at_once_are_one() -> None:
    story = Story()
    story.tick(0, GONE)
    story.tick(1, READY)
    assert story.tick(2, READY, replace(WANTED, restart="ada's")) == "stop"
    assert story.tick(3, READY, replace(WANTED, restart="bob's")) == "stop"
    assert story.tick(4, GONE, replace(WANTED, restart="bob's")) == "start"
    assert story.tick(5, READY, replace(WANTED, restart="bob's")) == "wait"
