"""Features that no view can bring: marked, and counted as such."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
from typing_extensions import override

from serving.metrics import Metrics
from serving.online_features import Marks, OnlineFeatures, ViewPlans
from serving.online_reader import OnlineReader
from serving.requests import Batch


class Unasked(OnlineReader):
    """A store that nobody may ask."""

    @override
    def refresh(self) -> None:
        raise AssertionError

    @override
    async def read(self, keys: Iterable[bytes]) -> Mapping[bytes, bytes]:
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
