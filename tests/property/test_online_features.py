"""A request's features from a store in LMDB, against an oracle that looks at one value after the other."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.contract import Column, ServingContract, View
from formats.packed_features import FeatureRow, columns_checksum, entity_key, key_text, pack_row
from resources.online_store import LmdbOnlineStore
from serving.marks import Marks
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures
from serving.online_reader import LmdbReader
from serving.requests import Batch, RequestDecoder
from serving.view_plans import plan_views

NOW = datetime(2013, 4, 1, tzinfo=UTC)
HOUR = 3_600_000_000
WEATHER = View(
    name="aviation/100%_weather@1",
    keys=("place",),
    columns=("wind", "gust", "rain"),
    time_to_live=3600.0,
    degradable=("rain", "wind"),
)
GATES = View(name="aviation/gates@2", keys=("place", "inside", "floor"), columns=("open", "wait"), time_to_live=7200.0)
CONTRACT = ServingContract(
    model="aviation/delay",
    columns=(
        Column(name="rain", type="float", view=WEATHER.name, nullable=True),
        Column(name="wait", type="float", view=GATES.name, nullable=True),
        Column(name="distance", type="float"),
        Column(name="wind", type="float", view=WEATHER.name, nullable=True),
        Column(name="inside", type="bool", nullable=True),
        Column(name="sky", type="text", view=WEATHER.name, nullable=True),
    ),
    views=(WEATHER, GATES),
)
WITHOUT_TEXT = msgspec.structs.replace(CONTRACT, columns=CONTRACT.columns[:-1])
ONE_VIEW = ServingContract(
    model="aviation/delay",
    columns=tuple(Column(name=name, type="float", view=WEATHER.name, nullable=True) for name in ("wind", "gust")),
    views=(msgspec.structs.replace(WEATHER, degradable=()),),
)


class Stored(NamedTuple):
    """A row of the store: its age in hours (below zero: from the future), and the values of its columns."""

    age: int
    values: tuple[float, ...]


Key = tuple[str, tuple[Any, ...]]

places = st.sampled_from(["JFK", "LGA", "é%s", "x" * 600])
floors = st.integers(-1, 1)
insides = st.one_of(st.none(), st.booleans())
numbers = st.one_of(st.just(math.nan), st.floats(width=32))


def stored(view: View) -> st.SearchStrategy[Stored]:
    """Rows of a view."""
    flags = [st.sampled_from([0.0, 1.0])] * len(view.degradable)
    return st.builds(Stored, st.integers(-1, 3), st.tuples(*([numbers] * len(view.columns)), *flags))


weather_keys = st.tuples(st.just(WEATHER.name), st.tuples(places))
gate_keys = st.tuples(st.just(GATES.name), st.tuples(places, st.booleans(), floors))
requests = st.lists(
    st.fixed_dictionaries({"place": places, "inside": insides, "floor": floors, "distance": st.just(1.0)}),
    min_size=1,
    max_size=4,
)


def contents(contract: ServingContract) -> st.SearchStrategy[dict[Key, Stored]]:
    """What a store holds for the views of `contract`."""
    weather = st.dictionaries(weather_keys, stored(contract.views[0]), max_size=3)
    return st.builds(lambda one, other: one | other, weather, st.dictionaries(gate_keys, stored(GATES), max_size=6))


@settings(max_examples=40, deadline=None)
@given(contents(CONTRACT), requests)
def test_features_of_two_views_are_those_that_are_stored(held: dict[Key, Stored], asked: list[dict[str, Any]]) -> None:
    agree(CONTRACT, held, asked)


@settings(max_examples=20, deadline=None)
@given(contents(CONTRACT), requests)
def test_a_model_without_texts_of_views_has_nothing_missing_beforehand(
    held: dict[Key, Stored], asked: list[dict[str, Any]]
) -> None:
    agree(WITHOUT_TEXT, held, asked)


@settings(max_examples=40, deadline=None)
@given(contents(ONE_VIEW), st.lists(st.fixed_dictionaries({"place": places}), min_size=1, max_size=4))
def test_features_of_one_view_are_those_that_are_stored(held: dict[Key, Stored], asked: list[dict[str, Any]]) -> None:
    agree(ONE_VIEW, {key: row for key, row in held.items() if key[0] == WEATHER.name}, asked)


def agree(contract: ServingContract, held: Mapping[Key, Stored], asked: Sequence[dict[str, Any]]) -> None:
    """Ask the store for the rows, and hold matrix, marks and metrics against the oracle's."""
    decoder, metrics = RequestDecoder(contract), Metrics()
    batch = decoder.decode(msgspec.json.encode({"rows": asked}))
    with TemporaryDirectory() as folder:
        LmdbOnlineStore(Path(folder)).put(packed(contract, held))
        found = asyncio.run(filled(contract, decoder, batch, Path(folder), metrics))
    expected = [Oracle(contract, held, row) for row in asked]
    assert found == [oracle.marks for oracle in expected]
    for values, oracle in zip(batch.numeric, expected, strict=True):
        np.testing.assert_array_equal(values, np.array(oracle.values, np.float32))
    for kind in ("stale", "missing", "degraded"):
        assert getattr(metrics, kind) == Counter(name for mark in found for name in getattr(mark, kind))
    seen = {view.name: sum(1 for oracle in expected if view.name in oracle.ages) for view in contract.views}
    assert {name: sum(metrics.age[name].counts) for name in seen} == seen
    total = sum(age for oracle in expected for age in oracle.ages.values())
    assert sum(metrics.age[name].total for name in seen) == total


async def filled(
    contract: ServingContract, decoder: RequestDecoder, batch: Batch, folder: Path, metrics: Metrics
) -> list[Marks]:
    """The marks of `batch`, filled from the store in `folder`."""
    features = OnlineFeatures(LmdbReader(folder), metrics)
    features.refresh()
    try:
        return await features.fill(plan_views(contract, decoder.keyed), batch, NOW)
    finally:
        await features.close()


def packed(contract: ServingContract, held: Mapping[Key, Stored]) -> dict[bytes, bytes]:
    """The store's rows; entities whose key is too long for the store cannot be in it."""
    checksums = {view.name: columns_checksum(view.packed) for view in contract.views}
    now, rows = int(NOW.timestamp() * 1e6), {}
    for (view, key), row in held.items():
        packed_key = entity_key(view, map(key_text, key))
        if len(packed_key) <= 511:
            values = np.array(row.values, np.float32)
            rows[packed_key] = pack_row(FeatureRow(now - row.age * HOUR, now, values), checksums[view])
    return rows


class Oracle:
    """What a request's row is to get: its matrix row, its marks, and the age in seconds of what was found, by view."""

    def __init__(self, contract: ServingContract, held: Mapping[Key, Stored], row: Mapping[str, Any]) -> None:
        self.ages: dict[str, float] = {}
        self._held, self._row = held, row
        self.values = [self._value(column, contract) for column in contract.numeric]
        self.marks = self._marks(contract)

    def _of(self, view: View) -> Stored | None:
        key = tuple(self._row[name] for name in view.keys)
        too_long = any(isinstance(value, str) and len(value) > 500 for value in key)
        return None if None in key or too_long else self._held.get((view.name, key))

    def _value(self, column: Column, contract: ServingContract) -> float:
        if column.view is None:
            given = self._row[column.name]
            return math.nan if given is None else float(given)
        view = next(view for view in contract.views if view.name == column.view)
        found = self._of(view)
        return math.nan if found is None else found.values[view.columns.index(column.name)]

    def _marks(self, contract: ServingContract) -> Marks:
        stale: list[str] = []
        missing = [column.name for column in contract.categorical if column.view is not None]
        degraded: list[str] = []
        for view in contract.views:
            used = [column.name for column in contract.numeric if column.view == view.name]
            found = self._of(view)
            if found is None:
                missing += used
                continue
            age = timedelta(hours=max(0, found.age)).total_seconds()
            self.ages[view.name] = age
            missing += [name for name in used if math.isnan(found.values[view.columns.index(name)])]
            degraded += [
                name for name in used if name in view.degradable and found.values[view.packed.index(f"degraded:{name}")]
            ]
            stale += used if age > view.time_to_live else []
        return Marks(tuple(stale), tuple(missing), tuple(degraded))
