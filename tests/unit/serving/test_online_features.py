"""Features that no view can bring: marked, and counted as such."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from typing_extensions import override

from formats.contract import Column, ServingContract, View
from formats.packed_features import FeatureRow, columns_checksum, entity_key, pack_row
from serving.marks import Marks
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures
from serving.online_reader import OnlineReader, StoreAway, StoreState
from serving.refusals import Fault, Refusal
from serving.requests import Batch, RequestDecoder
from serving.view_plans import ViewPlans, plan_views

NOW = datetime(2013, 4, 1, tzinfo=UTC)


class Unasked(OnlineReader):
    """A store that nobody may ask."""

    @property
    @override
    def state(self) -> StoreState:
        return StoreState("closed")

    @override
    def refresh(self) -> None:
        raise AssertionError

    @override
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        raise AssertionError(tuple(keys))

    @override
    async def close(self) -> None:
        raise AssertionError


def test_a_text_of_a_view_is_counted_as_missing_where_no_number_is_fetched() -> None:
    metrics = Metrics()
    rows = [{"place": "JFK"}, {"place": "LGA"}]
    batch = Batch(
        None, rows, single=False, numeric=np.empty((2, 0), np.float32), categorical=np.full((2, 1), "", object)
    )
    filling = OnlineFeatures(Unasked(), metrics).fill(ViewPlans((), ("sky",)), batch, datetime(2013, 4, 1, tzinfo=UTC))
    assert asyncio.run(filling) == [Marks(missing=("sky",))] * 2
    assert metrics.missing == {"sky": 2}


PLACES = View(name="aviation/places@1", keys=("place",), columns=("wind", "gust"), time_to_live=60.0)
CONTRACT = ServingContract(
    model="aviation/delay", columns=(Column(name="gust", type="float", view=PLACES.name),), views=(PLACES,)
)


class Holding(Unasked):
    """A store of these rows."""

    def __init__(self, rows: dict[bytes, bytes]) -> None:
        self.rows = rows

    @override
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self.rows.get(key) for key in keys]


def filled(rows: dict[bytes, bytes], *places: str) -> tuple[list[Marks], list[list[float]]]:
    decoder = RequestDecoder(CONTRACT)
    batch = decoder.decode(msgspec.json.encode({"rows": [{"place": place} for place in places]}))
    filling = OnlineFeatures(Holding(rows), Metrics()).fill(plan_views(CONTRACT, decoder.keyed), batch, NOW)
    return asyncio.run(filling), batch.numeric.tolist()


def row_of(columns: Sequence[str], *values: float) -> bytes:
    now = int(NOW.timestamp() * 1e6)
    return pack_row(FeatureRow(now, now, np.array(values, np.float32)), columns_checksum(columns))


@pytest.mark.parametrize("places", [("JFK",), ("LGA", "JFK"), ("EWR", "JFK")])
@pytest.mark.parametrize(
    "broken",
    [row_of(("gust", "wind"), 1, 2), row_of(("wind",), 1), row_of(PLACES.columns, 1, 2)[:-4], b"", bytes(32)],
)
def test_a_row_of_other_columns_refuses_the_request_and_is_not_served(places: tuple[str, ...], broken: bytes) -> None:
    rows = {entity_key(PLACES.name, ["JFK"]): broken, entity_key(PLACES.name, ["LGA"]): row_of(PLACES.columns, 1, 2)}
    with pytest.raises(Refusal) as refused:
        filled(rows, *places)
    assert refused.value.status == 503


def test_only_the_values_that_the_model_takes_are_marked() -> None:
    rows = {
        entity_key(PLACES.name, ["JFK"]): row_of(PLACES.columns, np.nan, 2),
        entity_key(PLACES.name, ["LGA"]): row_of(PLACES.columns, 1, np.nan),
    }
    assert filled(rows, "JFK") == ([Marks()], [[2.0]])
    marks, values = filled(rows, "LGA", "JFK", "EWR")
    assert marks == [Marks(missing=("gust",)), Marks(), Marks(missing=("gust",))]
    np.testing.assert_array_equal(values, [[np.nan], [2.0], [np.nan]])


def test_a_key_with_the_separator_in_it_reaches_no_other_entity() -> None:
    for places in (("JFK\x00",), ("LGA", "J\x00K")):
        with pytest.raises(Refusal) as refused:
            filled({}, *places)
        assert refused.value.status == 422
        assert b"NUL" in refused.value.body


class Away(Unasked):
    """A store that cannot be read."""

    @property
    @override
    def state(self) -> StoreState:
        return StoreState("open", 3, Fault("online-store-unavailable", "away", "wait"))

    @override
    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        raise StoreAway(Fault("online-store-unavailable", "away", "wait"))


def filled_without(contract: ServingContract, *places: str) -> tuple[list[Marks], Batch, Metrics]:
    decoder, metrics = RequestDecoder(contract), Metrics()
    batch = decoder.decode(msgspec.json.encode({"rows": [{"place": place} for place in places]}))
    filling = OnlineFeatures(Away(), metrics).fill(plan_views(contract, decoder.keyed), batch, NOW)
    return asyncio.run(filling), batch, metrics


def test_without_the_store_requests_are_refused_unless_the_contract_says_otherwise() -> None:
    with pytest.raises(Refusal) as refused:
        filled_without(CONTRACT, "JFK")
    assert (refused.value.status, refused.value.code) == (503, "online-store-unavailable")
    assert refused.value.reason == "features"


@pytest.mark.parametrize("places", [("JFK",), ("JFK", "LGA", "EWR")])
def test_by_default_every_column_of_a_view_is_missing_and_says_so(places: tuple[str, ...]) -> None:
    by_default = msgspec.structs.replace(CONTRACT, fallback="default")
    marks, batch, metrics = filled_without(by_default, *places)
    assert marks == [Marks(missing=("gust",))] * len(places)
    assert np.isnan(batch.numeric).all()
    assert metrics.missing == {"gust": len(places)}
    lines = metrics.render().splitlines()
    assert "roadbed_online_store_defaults_total 1" in lines
    assert "roadbed_online_store_circuit 2" in lines
    assert "roadbed_online_store_failures_total 3" in lines


def test_a_key_that_reaches_into_another_entity_is_refused_without_the_store_too() -> None:
    with pytest.raises(Refusal) as refused:
        filled_without(msgspec.structs.replace(CONTRACT, fallback="default"), "JFK\x00")
    assert refused.value.status == 422
