"""The shares of the first journey: made of the events in its window alone, and together the whole of its wall time."""

from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType as Kind

from benchmarks.first_journey import (
    BARE,
    DAGSTERS,
    OURS,
    Event,
    Span,
    Step,
    covered,
    first_journey,
    shares_of,
    step_of,
    steps_within,
)
from formats.clock import advance_clock
from formats.errors import EndpointError
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.messages import Decide
from tests.support.people import AT
from tests.support.promotion_case import BETTER, ENDPOINT, GOOD, World, go_live

WINDOW = Span(100.0, 200.0)
# Loads for 1 s, computes for 6 (a line of the log and a side table on the way), stores for 2; the rest is Dagster.
EVENTS = [
    Event(Kind.ASSET_MATERIALIZATION_PLANNED, 90.0),
    Event(Kind.STEP_START, 110.0),
    Event(Kind.LOADED_INPUT, 111.0),
    Event(Kind.STEP_INPUT, 112.0),
    Event(None, 115.0),
    Event(Kind.ASSET_MATERIALIZATION, 116.0),
    Event(Kind.STEP_OUTPUT, 118.0),
    Event(Kind.ASSET_MATERIALIZATION, 120.0),
    Event(Kind.HANDLED_OUTPUT, 121.0),
    Event(Kind.STEP_OUTPUT, 122.0),
    Event(Kind.ASSET_CHECK_EVALUATION, 123.0),
    Event(Kind.STEP_SUCCESS, 124.0),
]


def test_a_step_is_split_by_its_events() -> None:
    step = step_of("model", EVENTS, WINDOW)
    assert step.whole == Span(110.0, 124.0)
    assert covered(step.outside) == 9.0


def test_a_step_is_cut_to_the_window() -> None:
    step = step_of("model", EVENTS, Span(100.0, 117.0))
    assert (step.whole, covered(step.outside)) == (Span(110.0, 117.0), 6.0)
    assert step_of("model", EVENTS, Span(100.0, 105.0)).whole.seconds == 0.0
    assert step_of("planned", EVENTS[:1], WINDOW).whole.seconds == 0.0


def test_the_three_shares_make_the_whole() -> None:
    steps = [step_of("model", EVENTS, WINDOW), Step("view", Span(115.0, 135.0), (Span(115.0, 135.0),))]
    shares = shares_of(WINDOW, steps, bare=5.0)
    # Both ran at once from 115 to 120, which counts once; the stages stand beside the three.
    assert shares == {BARE: 0.05, OURS: 0.19, DAGSTERS: 0.76, "model": 0.14, "view": 0.2}
    assert sum(shares[name] for name in (BARE, OURS, DAGSTERS)) == pytest.approx(1.0)


def test_runs_after_the_journey_do_not_count() -> None:
    @dg.asset
    def early() -> None: ...

    @dg.asset
    def late() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([early], instance=instance).success
        (record,) = instance.get_run_records()
        assert dg.materialize([late], instance=instance).success
        begin, end = record.create_timestamp.timestamp(), record.end_time
        assert end is not None
        steps = steps_within(instance, Span(begin, end))
        everything = steps_within(instance, Span(begin, end + 3600))
    assert [step.name for step in steps] == ["early"]
    assert [step.name for step in everything] == ["early", "late"]
    assert 0.0 < covered(steps[0].outside) < steps[0].whole.seconds


def test_the_journey_ends_when_production_is_live_for_the_first_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    initialise(world.home)
    advance_clock(world.home.clock, AT)
    settings = world.home.dagster / "dagster.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("telemetry: {enabled: false}")
    with pytest.raises(EndpointError, match="never live"):
        first_journey(world.home, ENDPOINT)
    for weights in (GOOD, BETTER):
        bundle = world.propose(weights)
        asked = Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test")
        issued = decide(Desk(world.home), asked).issued
        assert issued is not None
        go_live(world, issued.release, bundle)
    first, _ = (row for row in world.ledger.entries("release") if row.inputs["state"] == "live")
    assert first_journey(world.home, ENDPOINT) == Span(settings.stat().st_mtime, first.recorded_at.timestamp())
