"""The retraining decision, case by case: each reason for yes, and each no with its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from formats.errors import DeclarationError
from platform_assets.monitoring.retraining import DriftDay, RetrainingRule, Situation, decide

RULE = RetrainingRule()
CUTOFF = datetime(2013, 5, 1, tzinfo=UTC)
CALM = Situation(
    partition="2013-04-01",
    code="sha256:1",
    now=CUTOFF + timedelta(days=40),
    champion_partition="2013-04-01",
    champion_cutoff=CUTOFF,
    champion_code="sha256:1",
    tried=frozenset(),
    drift=(),
)


def situation(**changes: Any) -> Situation:
    fields = {name: getattr(CALM, name) for name in CALM.__struct_fields__}
    return Situation(**{**fields, **changes})


def drift(*values: float, first: int = 1) -> tuple[DriftDay, ...]:
    return tuple(DriftDay(f"2013-05-{number:02}", f"wind_{number}", psi) for number, psi in enumerate(values, first))


HIGH, LOW = 0.3, 0.1

YES: dict[str, tuple[RetrainingRule, Situation, str]] = {
    "no model": (
        RULE,
        situation(champion_partition=None, champion_cutoff=None, champion_code=None),
        "no released model",
    ),
    "new month": (RULE, situation(partition="2013-05-01"), "cutoff 2013-05-01 is complete, 2013-04-01 is live"),
    "new code": (RULE, situation(code="sha256:2"), "code changed"),
    "age": (RULE, situation(now=CUTOFF + timedelta(days=92, seconds=1)), "seen nothing since 2013-05-01"),
    "drift": (RULE, situation(drift=drift(*[HIGH] * 5)), "5 of 5 days"),
    "drift, two calm days": (RULE, situation(drift=drift(HIGH, LOW, HIGH, HIGH, LOW, HIGH, HIGH)), "5 of 7 days"),
    "drift, listed backwards": (RULE, situation(drift=drift(LOW, LOW, *[HIGH] * 5)[::-1]), "5 of 7 days"),
    "tried with other code": (
        RULE,
        situation(partition="2013-05-01", tried=frozenset({("2013-05-01", "sha256:0")})),
        "new data",
    ),
}

NOTHING_NEW = "cutoff 2013-04-01 is live: no newer month is complete, "
NO: dict[str, tuple[RetrainingRule, Situation, str]] = {
    "nothing can be trained": (
        RULE,
        situation(partition=None, champion_partition=None),
        "no month of data is complete",
    ),
    "already trained": (
        RULE,
        situation(partition="2013-05-01", tried=frozenset({("2013-05-01", "sha256:1")})),
        "cutoff 2013-05-01 was already trained with this code",
    ),
    "calm": (RULE, CALM, NOTHING_NEW),
    "older month": (RULE, situation(partition="2013-03-01"), NOTHING_NEW),
    "exactly as old as allowed": (RULE, situation(now=CUTOFF + timedelta(days=92)), NOTHING_NEW),
    "code of the live model unknown": (RULE, situation(champion_code=None), NOTHING_NEW),
    "new month does not count": (
        RetrainingRule(on_new_data=False),
        situation(partition="2013-05-01"),
        "new months do not count",
    ),
    "new code does not count": (
        RetrainingRule(on_new_code=False),
        situation(code="sha256:2"),
        "new code does not count",
    ),
    "drift on too few days": (RULE, situation(drift=drift(*[HIGH] * 4)), NOTHING_NEW),
    "drift that is over": (RULE, situation(drift=drift(*[HIGH] * 6, LOW)), NOTHING_NEW),
    "drift before the window": (RULE, situation(drift=drift(*[HIGH] * 8, *[LOW] * 3, *[HIGH] * 4)), NOTHING_NEW),
    "drift at the limit": (RULE, situation(drift=drift(*[0.25] * 7)), NOTHING_NEW),
}


@pytest.mark.parametrize("name", YES)
def test_yes_has_a_reason(name: str) -> None:
    rule, found, told = YES[name]
    decision = decide(rule, found)
    assert (decision.train, decision.partition) == (True, found.partition)
    (reason,) = decision.reasons
    assert told in reason


@pytest.mark.parametrize("name", NO)
def test_no_has_a_reason_too(name: str) -> None:
    rule, found, told = NO[name]
    decision = decide(rule, found)
    assert (decision.train, decision.partition) == (False, found.partition)
    (reason,) = decision.reasons
    assert told in reason


def test_all_reasons_are_told() -> None:
    found = situation(
        partition="2013-06-01", code="sha256:2", now=CUTOFF + timedelta(days=200), drift=drift(*[HIGH] * 7)
    )
    assert [reason.partition(":")[0] for reason in decide(RULE, found).reasons] == [
        "new data",
        "the training code changed since the live model was built",
        "age",
        "drift",
    ]


def test_the_worst_column_and_day_are_named() -> None:
    (reason,) = decide(RULE, situation(drift=drift(HIGH, HIGH, 0.91, HIGH, HIGH))).reasons
    assert "wind_3 0.91 on 2013-05-03" in reason


@pytest.mark.parametrize(("days", "window"), [(0, 7), (8, 7), (-1, 3)])
def test_a_rule_that_can_never_or_always_hold_is_refused(days: int, window: int) -> None:
    with pytest.raises(DeclarationError, match=f"drift_days is {days} and drift_window {window}"):
        RetrainingRule(drift_days=days, drift_window=window)
