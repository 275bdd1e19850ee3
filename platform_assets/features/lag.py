"""How long rows take from their event until endpoints can read them.

An update starts at an instant of the installation's clock and takes some seconds by the wall. The lag of a view is the clock at the
start, less the newest time in the rows that were put, plus those seconds: with a wall clock that is when the row became
readable less its time. A replay's clock stands still while things run, so there the wait between the arrival of the data and the
start of the update is not in the figure, and the seconds that the update took are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from platform_assets.features.spec import FeatureView


@dataclass(frozen=True)
class Lag:
    """The lag of one view at an update: its newest event and newest known time, and how long before it was servable each was."""

    view: FeatureView
    newest_event: datetime | None
    newest_known: datetime | None
    servable: datetime

    @property
    def from_event(self) -> timedelta | None:
        """From the newest event until it was servable; None if no row is."""
        return None if self.newest_event is None else self.servable - self.newest_event

    @property
    def from_known(self) -> timedelta | None:
        """From when the newest row was known until it was servable."""
        return None if self.newest_known is None else self.servable - self.newest_known

    @property
    def kept(self) -> bool:
        """Whether the view's budget is kept, or it has none."""
        budget = self.view.servable_within
        return budget is None or (self.from_event is not None and self.from_event <= budget)

    @property
    def sentence(self) -> str:
        """The lag in words, and by how much a budget was missed."""
        name, budget, lag = self.view.name, self.view.servable_within, self.from_event
        if lag is None:
            return f"{name} has no row that is servable"
        told = f"{name}: its newest event was servable after {shown(lag)}"
        if budget is None:
            return told
        against = f"within the {shown(budget)} declared" if self.kept else f"{shown(lag - budget)} more than declared"
        return f"{told}, {against}"


def lag_of(view: FeatureView, newest: pl.DataFrame, servable: datetime) -> Lag:
    """The lag of the rows `newest`, which are servable since `servable`, by the clock."""
    event, known = str(view.contract.event_time), str(view.contract.known_time)
    latest = newest.select(pl.col(event).max().alias("event"), pl.col(known).max().alias("known")).row(0)
    return Lag(view, latest[0], latest[1], servable)


def shown(span: timedelta) -> str:
    """A span for people: a short one to the tenth of a second, others to the second, without a minus before the days."""
    if abs(span) < timedelta(minutes=1):
        return f"{span.total_seconds():.1f} s"
    whole = timedelta(seconds=round(span.total_seconds()))
    return f"-{-whole}" if whole < timedelta() else str(whole)
