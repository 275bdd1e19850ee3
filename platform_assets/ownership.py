"""Whose assets these are, and how fresh they must be unless they say otherwise."""

from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from platform_assets.calendar import Calendar

FAIL_AFTER = timedelta(days=7)
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=FAIL_AFTER, warn_window=timedelta(days=2))


@dataclass(frozen=True)
class Owner:
    """`team` is the first part of every key, `contact` (`team:<name>` or an address) is who to call."""

    team: str
    contact: str
    calendar: Calendar
