"""The first journey of an installation, as its own records tell it: from `make up` to the endpoint that answers.

It begins when `roadbed up` writes DAGSTER_HOME's settings, its first act in a new home, and ends when the ledger's row says
that the first release of the production endpoint is live: the prediction follows at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import dagster as dg

from formats.errors import EndpointError
from formats.home import Home
from platform_assets.cli.first_prediction import FIRST_MODEL
from platform_assets.promotion.live import pointers
from resources.installation import installation_at

BARE = "the bare functions"
OURS = "ours: steps less the bare functions"
DAGSTERS = "Dagster's: process start, event log, queue, its part of steps"


class Span(NamedTuple):
    """Wall seconds since 1970: [begin, end)."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(0.0, self.end - self.begin)

    def within(self, other: "Span") -> "Span":
        """The part of it that lies in `other`."""
        return Span(max(self.begin, other.begin), min(self.end, other.end))


class Step(NamedTuple):
    """A step from its start to its end, and the spans of it in which code that is not Dagster's ran."""

    name: str
    whole: Span
    outside: tuple[Span, ...]


class Event(NamedTuple):
    """An event of a step; `kind` is None for a line of the log."""

    kind: dg.DagsterEventType | None
    at: float


def first_journey(home: Home, endpoint: str = FIRST_MODEL.endpoint) -> Span:
    """The window. Raises EndpointError if `endpoint` was never live."""
    state = pointers(installation_at(home))
    lives = (state.life(release.release) for release in state.releases(endpoint))
    live = [reached.entry.recorded_at for life in lives for reached in life if reached.state == "live"]
    if not live:
        raise EndpointError(
            "endpoint-not-found", f"{endpoint} of {home.root} was never live", "run `make up` there first"
        )
    return Span((home.dagster / "dagster.yaml").stat().st_mtime, min(live).timestamp())


def steps_within(instance: dg.DagsterInstance, window: Span) -> list[Step]:
    """The steps, or their parts, that ran in `window`, in the order of their runs."""
    found = []
    for record in instance.get_run_records(ascending=True):
        events: dict[str, list[Event]] = {}
        for entry in instance.all_logs(record.dagster_run.run_id):
            kind = entry.dagster_event.event_type if entry.is_dagster_event and entry.dagster_event else None
            if entry.step_key is not None:
                events.setdefault(entry.step_key, []).append(Event(kind, entry.timestamp))
        found += [step_of(name, told, window) for name, told in events.items()]
    return [step for step in found if step.whole.seconds]


def step_of(name: str, events: Sequence[Event], window: Span) -> Step:
    """One step, cut to `window`. Its events split it: a span belongs to whoever worked until the event that ends it.

    The function runs until its first output, inputs are loaded and outputs stored by our IO managers; what is between the other
    events is Dagster handling inputs, outputs and checks and writing its event log.
    """
    begun = [event for event in events if event.kind == dg.DagsterEventType.STEP_START]
    if not begun:
        return Step(name, Span(window.begin, window.begin), ())
    since = [event for event in events if event.at >= begun[0].at]
    outside = tuple(Span(before.at, after.at).within(window) for before, after in _not_dagsters(since))
    whole = Span(since[0].at, since[-1].at).within(window)
    return Step(name, whole, tuple(span for span in outside if span.seconds))


def _not_dagsters(events: Sequence[Event]) -> Iterable[tuple[Event, Event]]:
    outputs = 0
    for before, after in pairwise(events):
        stored = before.kind == dg.DagsterEventType.STEP_OUTPUT and outputs == 1
        if stored or (outputs == 0 and after.kind != dg.DagsterEventType.STEP_INPUT):
            yield before, after
        outputs += after.kind == dg.DagsterEventType.STEP_OUTPUT


def shares_of(window: Span, steps: Sequence[Step], bare: float) -> Mapping[str, float]:
    """Shares of the window: the bare functions (which took `bare` seconds), ours, Dagster's, and each stage.

    The first three make 1. Steps that ran at once count once in them.
    """
    outside = covered(span for step in steps for span in step.outside)
    seconds = {BARE: bare, OURS: outside - bare, DAGSTERS: window.seconds - outside}
    for step in steps:
        seconds[step.name] = seconds.get(step.name, 0.0) + step.whole.seconds
    return {name: spent / window.seconds for name, spent in seconds.items()}


def covered(spans: Iterable[Span]) -> float:
    """Seconds that lie in at least one of `spans`."""
    total, reached = 0.0, float("-inf")
    for span in sorted(spans):
        total += max(0.0, span.end - max(span.begin, reached))
        reached = max(reached, span.end)
    return total
