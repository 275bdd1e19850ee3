import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from formats.prediction_log import PredictionRecord, read_segment
from serving.answers import answer_form
from serving.marks import UNMARKED, Marks
from serving.model import Model
from serving.open_inference import decode_infer
from serving.records import Occasion, records
from serving.requests import Batch
from tests.support.bundles import CONTRACT, full_row, model_onnx, release

NOW = datetime(2013, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model("sha256:" + "0" * 64, CONTRACT, model_onnx())


def recorded(model: Model, batch: Batch, marks: Marks = UNMARKED) -> PredictionRecord:
    document = release(model.digest, 1)
    answer = model.run(batch.numeric, batch.categorical)
    answered = answer_form(CONTRACT.task).predictions(CONTRACT.model, document, [marks] * len(answer), answer)
    segment = b"".join(records(Occasion("e", NOW), model.log_plan(batch.form), batch, answered))
    row = next(iter(read_segment(segment)))
    assert (row.prediction, row.release, row.bundle) == (answered[0].prediction, document.release, model.digest)
    assert (row.endpoint, row.asked_at) == ("e", NOW)
    return row


def decode(model: Model, row: dict[str, Any]) -> Batch:
    return model.decoder.decode(json.dumps(row).encode())


def test_a_full_row_is_recorded_as_asked_and_as_seen(model: Model) -> None:
    row = recorded(model, decode(model, full_row(airport="JFK")))
    assert row.request == full_row(airport="JFK", tail=None)
    assert row.features == full_row(tail=None)


def test_a_row_by_key_is_recorded_with_its_keys_and_marks(model: Model) -> None:
    asked = {"distance": 1, "hour": 2, "carrier": "AA", "airport": "JFK", "tail": "N1"}
    row = recorded(model, decode(model, asked), Marks(("wind",), ("wind",), ("wind",)))
    assert row.request == asked | {"tail": None, "pressure": None}
    assert row.features["wind"] is None
    assert (row.stale, row.missing, row.degraded) == (("wind",), ("wind",), ("wind",))


def test_a_key_that_names_a_person_is_not_recorded() -> None:
    views = tuple(msgspec.structs.replace(view, personal=view.keys) for view in CONTRACT.views)
    model = Model("sha256:" + "0" * 64, msgspec.structs.replace(CONTRACT, views=views), model_onnx())
    row = recorded(model, decode(model, {"distance": 1, "hour": 2, "carrier": "AA", "airport": "JFK", "tail": "N1"}))
    assert (row.request["airport"], row.request["tail"], row.request["carrier"]) == (None, None, "AA")


def test_tensors_are_recorded_as_features(model: Model) -> None:
    numeric = {"name": "numeric", "shape": [1, 4], "datatype": "FP32", "data": [400, 7, None, 12]}
    texts = {"name": "categorical", "shape": [1, 2], "datatype": "BYTES", "data": ["DL", "N1"]}
    _, batch = decode_infer(json.dumps({"inputs": [numeric, texts]}).encode(), CONTRACT)
    row = recorded(model, batch)
    assert row.request == {}
    assert row.features == full_row(tail=None)
