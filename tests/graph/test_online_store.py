"""The online store's asset and its checks, on the flights of three days, in LMDB and in Redis."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from aviation.team import ORIGIN_WEATHER

from formats.failpoints import VARIABLE as FAILPOINT
from formats.home import VARIABLE
from formats.packed_features import columns_checksum, entity_key, pack_row, unpack_row
from tests.support.killed import run_killed
from tests.support.redis import choose_redis, redis_server
from tests.support.small_road import SmallRoad, copy_of, definitions

STORE = dg.AssetKey(["aviation", "online_store"])
JFK = entity_key(ORIGIN_WEATHER.qualified("aviation"), ["JFK"])
FIRST, LAST = "2013-01-01", "2013-01-03"
MIDNIGHT = datetime(2013, 1, 4, 5, tzinfo=UTC)  # in New York


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """Three days are in, but not online."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("filled")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions())
    road.set_clock(MIDNIGHT)
    assert road.run("aviation_arrivals", days=(FIRST, LAST)).success
    yield road
    road.close()
    patch.undo()


@pytest.fixture(params=["lmdb", pytest.param("redis", marks=pytest.mark.service)])
def road(
    request: pytest.FixtureRequest, filled: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallRoad]:
    """A road of its own, with the store filled."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    road = copy_of(filled, tmp_path / "home", definitions())
    if request.param == "redis":
        with redis_server() as server:
            choose_redis(road.home, server)
            assert road.materialize(*STORE.path)
            yield road
    else:
        assert road.materialize(*STORE.path)
        yield road
    road.close()


def checked(road: SmallRoad, name: str) -> dg.AssetCheckEvaluation:
    """The check's last result."""
    key = dg.AssetCheckKey(STORE, name)
    records = road.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    evaluation = records[0].event.dagster_event.asset_check_evaluation_data
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    return evaluation


def check_again(road: SmallRoad) -> dg.AssetCheckEvaluation:
    """Run the parity check alone."""
    job = dg.define_asset_job("check", dg.AssetSelection.checks(dg.AssetCheckKey(STORE, "parity")))
    resolved = dg.Definitions.merge(road.defs, dg.Definitions(jobs=[job])).resolve_job_def("check")
    resolved.execute_in_process(instance=road.instance, raise_on_error=False)
    return checked(road, "parity")


def told(road: SmallRoad) -> dict[str, object]:
    event = road.instance.get_latest_materialization_event(STORE)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_an_update_checks_itself_and_says_how_long_it_took(road: SmallRoad) -> None:
    parity, lag, facts = checked(road, "parity"), checked(road, "lag"), told(road)
    assert parity.passed, parity.description
    assert "are the same online and offline" in str(parity.description)
    assert lag.passed, lag.description
    assert facts["clock"] == "replay"
    assert facts["store"] == road.installation.online_store.address
    took = facts["update (s)"]
    assert facts["origin_congestion newest event"] == "2013-01-04 04:45:00+00:00"
    assert facts["origin_congestion event to servable (s)"] == pytest.approx(15 * 60 + took)
    assert facts["origin_weather known to servable (s)"] == pytest.approx(3600 + took)
    assert datetime.fromisoformat(str(facts["servable at"])) > MIDNIGHT


def test_one_corrupted_value_turns_parity_red(road: SmallRoad) -> None:
    store, checksum = road.installation.online_store, columns_checksum(ORIGIN_WEATHER.packed)
    row = unpack_row(store.get([JFK])[0] or b"", checksum, len(ORIGIN_WEATHER.packed))
    values = row.values.copy()
    values[1] = np.nextafter(values[1], np.float32(1000))
    store.put({JFK: pack_row(row._replace(values=values), checksum)})
    found = check_again(road)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert f"1 of {found.metadata['values compared'].value} values differ" in str(found.description)
    assert f"origin_weather[JFK].{ORIGIN_WEATHER.packed[1]} is {values[1]} online" in str(found.description)
    assert "JFK" in str(found.metadata["differences"].value)
    assert road.materialize(*STORE.path)
    assert checked(road, "parity").passed


def test_a_store_that_was_lost_turns_parity_red(road: SmallRoad) -> None:
    if road.home.online_settings.exists():
        choose_redis_of_nobody(road)
    else:
        (road.home.online / "data.mdb").unlink()
    found = check_again(road)
    assert not found.passed
    assert "materialize aviation/online_store" in str(found.description)


def choose_redis_of_nobody(road: SmallRoad) -> None:
    """Another hash of the same server, which holds nothing."""
    text = road.home.online_settings.read_text()
    road.home.online_settings.write_text(text.replace("'roadbed'", "'nobody'"))


def test_an_update_that_comes_late_says_by_how_much(road: SmallRoad) -> None:
    road.set_clock(MIDNIGHT.replace(minute=30))
    assert road.materialize(*STORE.path)
    lag = checked(road, "lag")
    assert (lag.passed, lag.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "origin_congestion: its newest event was servable after 0:45:0" in str(lag.description)
    assert ", 0:15:0" in str(lag.description)
    assert "more than declared" in str(lag.description)
    assert "origin_weather" not in str(lag.description)
    assert checked(road, "parity").passed


def test_rows_that_are_not_yet_online_are_no_difference(road: SmallRoad) -> None:
    road.set_clock(MIDNIGHT.replace(day=5))
    assert road.run("aviation_arrivals", days=("2013-01-04", "2013-01-04")).success
    found = check_again(road)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "changed after the update of" in str(found.description)
    assert road.materialize(*STORE.path)
    assert checked(road, "parity").passed


@pytest.mark.kill
@pytest.mark.parametrize("failpoint", ["online_store.before_commit", "online_store.after_commit"])
def test_a_killed_update_leaves_rows_and_note_of_one_instant(
    road: SmallRoad, failpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.set_clock(MIDNIGHT.replace(hour=6))
    assert run_killed(road.home.root, "online", failpoint).returncode == -9
    assert check_again(road).passed
    monkeypatch.delenv(FAILPOINT, raising=False)
    assert road.materialize(*STORE.path)
    assert checked(road, "parity").passed
