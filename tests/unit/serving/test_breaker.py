"""When the online store is asked: the breaker's circuit, step by step."""

from serving.breaker import FAILURES, NUMBER_OF, PROBE_SECONDS, Breaker
from serving.refusals import Fault

AWAY = Fault("online-store-unavailable", "away", "bring it back")


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.failed(AWAY)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed(AWAY)
    assert (breaker.closed, breaker.fault) == (True, AWAY)
    breaker.failed(AWAY)
    assert (breaker.circuit, breaker.closed, breaker.failures) == ("open", False, FAILURES)


def test_a_success_ends_the_row() -> None:
    breaker = Breaker(Clock())
    for _ in range(5):
        for _ in range(FAILURES - 1):
            breaker.failed(AWAY)
        breaker.succeeded()
    assert (breaker.circuit, breaker.fault, breaker.failures) == ("closed", None, 5 * (FAILURES - 1))


def test_it_is_probed_by_one_at_a_time_and_not_at_once() -> None:
    breaker = opened(clock := Clock())
    assert not breaker.may_probe()
    clock.at += PROBE_SECONDS
    assert breaker.may_probe()
    assert (breaker.circuit, breaker.may_probe(), breaker.closed) == ("half-open", False, False)


def test_a_probe_that_fails_opens_it_again_for_as_long() -> None:
    breaker = opened(clock := Clock())
    clock.at += PROBE_SECONDS
    assert breaker.may_probe()
    breaker.failed(Fault("online-store-unavailable", "still away", ""))
    assert breaker.circuit == "open"
    assert breaker.fault is not None
    assert breaker.fault.message == "still away"
    assert not breaker.may_probe()
    clock.at += PROBE_SECONDS
    assert breaker.may_probe()


def test_a_probe_that_succeeds_closes_it_and_the_row_begins_anew() -> None:
    breaker = opened(clock := Clock())
    clock.at += PROBE_SECONDS
    assert breaker.may_probe()
    breaker.succeeded()
    assert (breaker.closed, breaker.fault, breaker.may_probe()) == (True, None, False)
    for _ in range(FAILURES - 1):
        breaker.failed(AWAY)
    assert breaker.closed


def test_nobody_probes_what_is_closed() -> None:
    breaker = Breaker(clock := Clock())
    clock.at += 10 * PROBE_SECONDS
    assert not breaker.may_probe()


def test_a_gauge_tells_the_states_apart() -> None:
    assert sorted(NUMBER_OF.values()) == [0, 1, 2]
