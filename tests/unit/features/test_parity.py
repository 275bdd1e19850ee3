"""Online against offline: the same rows are the same, and whatever is not is named."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from formats.errors import DataError
from formats.home import Home
from formats.packed_features import FeatureRow, columns_checksum, pack_row, unpack_row
from formats.table_digest import table_digest
from platform_assets.contracts.outcomes import DefaultValue
from platform_assets.features.online import contents, store_keys
from platform_assets.features.online_note import last_update
from platform_assets.features.parity import SAMPLE, compared, sampled
from platform_assets.features.spec import FeatureView
from resources.lake import Part
from resources.lake_places import open_lake
from resources.online_store import LmdbOnlineStore
from tests.unit.features.test_spec import AT, CONTRACT, rows, view

TEAM = "aviation"
NOON = AT + timedelta(hours=12)
WEATHER = dataclasses.replace(view(), time_to_live=timedelta(hours=10))
CHECKSUM, WIDTH = columns_checksum(WEATHER.packed), len(WEATHER.packed)
ROWS = rows(
    ("JFK", 4, 1.0, "clear", True, 3, 4),
    ("JFK", 4, 2.0, "fog", None, 5, 6),
    ("JFK", 4, 2.5, "clear", False, 5, 7),  # a correction
    ("JFK", 4, 9.0, "clear", True, 4, 8),  # of what was overtaken
    ("JFK", 22, 0.1, "rain", True, 2, 2),  # as old as may be at noon
    ("LGA", 4, 3.0, "rain", True, 1, 2),  # too old at noon
    ("LGA", 13, None, "rain", True, 11, 12),
    ("EWR", 4, 7.0, "rain", True, 12, 13),  # not known at noon
)


class World:
    """A lake with one view, and an online store."""

    def __init__(self, root: Path, of: FeatureView = WEATHER) -> None:
        self.lake, self.store, self.view = open_lake(Home(root)), LmdbOnlineStore(root / "online"), of

    def write(self, frame: pl.LazyFrame, day: str = "2013-04-01") -> None:
        held = frame.collect()
        self.lake.replace(f"{TEAM}/weather", {day: Part(held, table_digest(held, CONTRACT.row_key))})

    def update(self, as_of: datetime = NOON) -> None:
        found = contents(TEAM, [self.view], self.lake, as_of)
        self.store.put(found.rows | found.note)

    def differences(self) -> list[tuple[object, ...]]:
        found = compared(TEAM, [self.view], self.lake, self.store)
        assert found.moved == ()
        return found.differences.select("entity", "column", "online", "offline").rows()

    def key(self, *entity: str | int) -> bytes:
        return store_keys(TEAM, self.view, pl.DataFrame([entity], schema=["place", "runway"], orient="row"))[0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write(ROWS)
    world.update()
    return world


def test_what_was_put_is_what_training_joins(world: World) -> None:
    found = compared(TEAM, [WEATHER], world.lake, world.store)
    assert (found.as_of, found.values, found.differences.height) == (NOON, 5 * 2, 0)
    assert last_update(TEAM, world.store).as_of == NOON
    online = [None if value is None else unpack_row(value, CHECKSUM, WIDTH).values[0] for value in _rows(world)]
    np.testing.assert_array_equal(np.array(online, float), [np.nan, 2.5, np.float32(0.1), 3.0, np.nan])


def _rows(world: World) -> list[bytes | None]:
    entities = [("EWR", 4), ("JFK", 4), ("JFK", 22), ("LGA", 4), ("LGA", 13)]
    return world.store.get([world.key(*entity) for entity in entities])


def test_one_changed_value_is_named(world: World) -> None:
    key = world.key("JFK", 4)
    row = unpack_row(world.store.get([key])[0] or b"", CHECKSUM, WIDTH)
    changed = np.array([np.nextafter(row.values[0], np.float32(9)), row.values[1]], np.float32)
    world.store.put({key: pack_row(row._replace(values=changed), CHECKSUM)})
    assert world.differences() == [("JFK, 4", "wind", changed[0], 2.5)]


def test_an_older_row_an_absent_one_and_one_that_should_not_be_are_named(world: World) -> None:
    hour = timedelta(hours=1) // timedelta(microseconds=1)
    row = unpack_row(world.store.get([world.key("JFK", 4)])[0] or b"", CHECKSUM, WIDTH)
    stale = row._replace(event_time=row.event_time - 4 * hour)
    early = FeatureRow(row.event_time, row.known_time, np.array([7.0, 1.0], np.float32))
    world.store.put({world.key("JFK", 4): pack_row(stale, CHECKSUM), world.key("EWR", 4): pack_row(early, CHECKSUM)})
    found = [(entity, column) for entity, column, _, _ in world.differences()]
    assert found == [("EWR, 4", "wind"), ("EWR, 4", "gusty"), ("JFK, 4", "wind"), ("JFK, 4", "gusty")]


def test_rows_that_came_after_the_update_are_no_difference(world: World) -> None:
    world.write(rows(("JFK", 4, 8.0, "fog", True, 11, 11)), day="2013-04-02")
    found = compared(TEAM, [WEATHER], world.lake, world.store)
    assert (found.moved, found.values) == (("weather",), 0)
    world.update()
    assert world.differences() == []


class Interrupted(LmdbOnlineStore):
    """A store in which something else happens when rows of it have been read."""

    def __init__(self, folder: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(folder)
        self._meanwhile = meanwhile

    @override
    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = super().get(keys)
        if len(keys) > 1:
            self._meanwhile()
        return found


@pytest.mark.parametrize("updated", [False, True], ids=["rows", "update"])
def test_what_is_written_while_values_are_compared_is_no_difference(
    world: World, tmp_path: Path, updated: bool
) -> None:
    def meanwhile() -> None:
        if updated:
            world.update(NOON + timedelta(hours=2))  # EWR is known by then
        else:
            world.write(rows(("JFK", 4, 8.0, "fog", True, 11, 11)))

    found = compared(TEAM, [WEATHER], world.lake, Interrupted(tmp_path / "online", meanwhile))
    assert (found.as_of, found.moved, found.differences.height) == (NOON, ("weather",), 0)


def test_a_view_without_a_table_does_not_hold_up_the_others(world: World) -> None:
    degradable = dataclasses.replace(CONTRACT, outcomes={"wind": DefaultValue(0.0)})
    calm = dataclasses.replace(WEATHER, name="calm", contract=degradable)
    found = contents(TEAM, [WEATHER, calm], world.lake, NOON)
    assert [rows.height for rows in found.newest] == [4, 0]
    world.store.put(found.rows | found.note)
    compared_now = compared(TEAM, [WEATHER, calm], world.lake, world.store)
    assert (compared_now.moved, compared_now.values, compared_now.differences.height) == ((), 5 * 2, 0)


def test_a_store_that_holds_nothing_or_rubbish_cannot_be_compared(world: World, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds nothing of aviation"):
        compared(TEAM, [WEATHER], world.lake, LmdbOnlineStore(tmp_path / "other"))
    world.store.put({world.key("JFK", 4): b"rubbish"})
    with pytest.raises(DataError, match="checksum"):
        compared(TEAM, [WEATHER], world.lake, world.store)
    world.store.put({b"\x00aviation": b"{"})
    with pytest.raises(DataError, match="note of aviation"):
        compared(TEAM, [WEATHER], world.lake, world.store)


def test_the_sample_is_bounded_and_follows_from_the_data() -> None:
    many = rows(*(("JFK", number, 1.0, "clear", True, 1, 1) for number in range(3 * SAMPLE)))
    first = sampled(WEATHER, many, "sha256:00000001")
    assert first.height == SAMPLE
    assert first.equals(sampled(WEATHER, many.reverse(), "sha256:00000001"))
    assert not first.equals(sampled(WEATHER, many, "sha256:00000002"))


hours = st.integers(0, 15)
readings = st.tuples(
    st.sampled_from(["JFK", "LGA"]),
    st.integers(0, 2),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
    st.just("clear"),
    st.one_of(st.none(), st.booleans()),
    hours,
    hours,
)


@settings(max_examples=25)
@given(
    st.lists(readings, min_size=1, max_size=30, unique_by=lambda row: (row[0], row[1], row[5], row[6])),
    hours,
    st.integers(1, 15),
)
def test_online_and_offline_agree_whatever_came_late(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[tuple[str, int, float | None, str, bool | None, int, int]],
    now: int,
    alive: int,
) -> None:
    world = World(tmp_path_factory.mktemp("world"), dataclasses.replace(WEATHER, time_to_live=timedelta(hours=alive)))
    world.write(rows(*found))
    world.update(AT + timedelta(hours=now))
    assert world.differences() == []
