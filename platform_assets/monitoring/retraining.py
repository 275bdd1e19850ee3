"""Whether to train again, and why: also when the answer is no.

Yes needs a cutoff that can be trained and judged and was not tried with this code, and one of the reasons: there is no model yet,
a newer month of data is complete, the code changed, the released model is old, or its features drifted in k of the last n days,
the newest among them (the metric-violation rule of databricks/mlops-stacks).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from formats.errors import DeclarationError


@dataclass(frozen=True)
class RetrainingRule:
    """Train again when a new month is complete (`on_new_data`), or the live model's cutoff is older than `max_age`, or the greatest
    PSI of a day was above `drift_psi` in at least `drift_days` of the last `drift_window` days and on the newest.
    """

    on_new_data: bool = True
    on_new_code: bool = True
    max_age: timedelta = timedelta(days=92)
    drift_psi: float = 0.25
    drift_days: int = 5
    drift_window: int = 7

    def __post_init__(self) -> None:
        if not 1 <= self.drift_days <= self.drift_window:
            raise DeclarationError(
                "declaration-invalid",
                f"drift_days is {self.drift_days} and drift_window {self.drift_window}",
                "ask for at least one day, and for no more than the window has",
            )


class DriftDay(msgspec.Struct, frozen=True):
    """The greatest PSI of a day and the column that had it."""

    day: str
    column: str
    psi: float


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when the question is asked. Partitions are month keys; `tried` holds partition and code of past candidates."""

    partition: str | None
    code: str
    now: datetime
    champion_partition: str | None
    champion_cutoff: datetime | None
    champion_code: str | None
    tried: frozenset[tuple[str, str]]
    drift: tuple[DriftDay, ...]


class RetrainingDecision(msgspec.Struct, frozen=True):
    """Yes or no, for which cutoff, and the reasons for either."""

    train: bool
    partition: str | None
    reasons: tuple[str, ...]


def decide(rule: RetrainingRule, situation: Situation) -> RetrainingDecision:
    """The decision of `rule` in `situation`."""
    partition = situation.partition
    if partition is None:
        return RetrainingDecision(False, None, ("no month of data is complete together with the month that judges it",))
    if (partition, situation.code) in situation.tried:
        return RetrainingDecision(False, partition, (f"cutoff {partition} was already trained with this code",))
    reasons = tuple(_reasons(rule, situation, partition))
    return RetrainingDecision(bool(reasons), partition, reasons or (_nothing(rule, situation),))


def _nothing(rule: RetrainingRule, situation: Situation) -> str:
    """Why nothing of what the rule asks for is a reason; without figures that change from look to look."""
    data = "no newer month is complete" if rule.on_new_data else "new months do not count"
    code = "the code is as it was" if rule.on_new_code else "new code does not count"
    age = f"it is not older than {rule.max_age / timedelta(days=1):g} days"
    drift = f"its features did not drift on {rule.drift_days} of {rule.drift_window} days"
    return f"cutoff {situation.champion_partition} is live: {data}, {code}, {age}, {drift}"


def _reasons(rule: RetrainingRule, situation: Situation, partition: str) -> Sequence[str]:
    champion = situation.champion_partition
    if champion is None:
        return ["there is no released model"]
    told = []
    if rule.on_new_data and partition > champion:
        told.append(f"new data: cutoff {partition} is complete, {champion} is live")
    if rule.on_new_code and situation.champion_code not in (None, situation.code):
        told.append("the training code changed since the live model was built")
    if situation.champion_cutoff is not None and situation.now - situation.champion_cutoff > rule.max_age:
        told.append(f"age: the live model has seen nothing since {situation.champion_cutoff.date()}")
    told.extend(_drifted(rule, situation.drift))
    return told


def _drifted(rule: RetrainingRule, drift: tuple[DriftDay, ...]) -> list[str]:
    window = sorted(drift, key=lambda day: day.day)[-rule.drift_window :]
    violated = [day for day in window if day.psi > rule.drift_psi]
    if not window or window[-1] not in violated or len(violated) < rule.drift_days:
        return []
    worst = max(violated, key=lambda day: day.psi)
    return [
        f"drift: PSI above {rule.drift_psi} on {len(violated)} of {len(window)} days, {worst.column} {worst.psi:.2f} on {worst.day}"
    ]
