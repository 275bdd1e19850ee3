"""Going back from the UI: the job that every team's location has."""

import dagster as dg
import pytest

from platform_assets.promotion.live import live_release, pointers
from tests.support.small_road import ENDPOINT, SmallRoad, definitions

pytestmark = pytest.mark.slow


def roll_back(road: SmallRoad, **config: str) -> dg.ExecuteInProcessResult:
    return road.run("aviation_rollback", run_config={"ops": {"rollback": {"config": config}}})


def why(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step says."""
    return str(result.failure_data_for_node("rollback"))


def test_a_bad_release_is_taken_back_and_stays_away(passing: SmallRoad) -> None:
    assert passing.rehearse().success
    assert passing.promote().success
    good = live_release(passing.installation, ENDPOINT)
    assert "cannot go back" in why(roll_back(passing, endpoint=ENDPOINT, reason="a test")), "there is nothing earlier"

    newer = SmallRoad(passing.home.root, definitions(seed=1))
    assert newer.train().success
    assert newer.rehearse().success
    assert newer.promote().success
    bad = live_release(newer.installation, ENDPOINT)
    assert bad.bundle != good.bundle

    assert "has no endpoint 'aviation/other'" in why(roll_back(newer, endpoint="aviation/other", reason="a test"))
    assert "none was ever live there" in why(roll_back(newer, endpoint=ENDPOINT, reason="a test", to="99"))
    result = roll_back(newer, endpoint=ENDPOINT, reason="it answers strangely", to=str(good.sequence))
    assert result.success
    live = live_release(newer.installation, ENDPOINT)
    assert (live.bundle, live.sequence) == (good.bundle, bad.sequence + 1)
    assert bad.bundle in pointers(newer.installation).barred
    observed = newer.installation.runtime.observe(ENDPOINT)
    assert observed.bundle == good.bundle, "the server has swapped"

    event = newer.instance.get_latest_materialization_event(dg.AssetKey(ENDPOINT.split("/")))
    assert event is not None
    assert event.run_id == result.run_id
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["reason"].value == "rollback: it answers strangely"

    newer.promote()
    assert live_release(newer.installation, ENDPOINT) == live, "automation does not bring the bad one back"
    newer.close()


def test_a_rollback_needs_a_reason(refused: SmallRoad) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="reason"):
        roll_back(refused, endpoint=ENDPOINT)
    assert "at least 1 character" in why(roll_back(refused, endpoint=ENDPOINT, reason=""))
