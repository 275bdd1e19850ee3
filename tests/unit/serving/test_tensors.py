"""A column that is a tensor: what a request may be, what reaches the model, and what the log keeps of it."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.canonical import canonical_json, sha256_hex
from formats.contract import Column, ServingContract, decode_contract
from formats.errors import ContractError
from formats.prediction_log import PredictionRecord, read_segment
from serving.marks import UNMARKED
from serving.model import Model
from serving.open_inference import decode_infer, model_metadata
from serving.openapi import openapi
from serving.records import Occasion, records
from serving.refusals import Refusal
from serving.requests import RequestDecoder
from serving.view_plans import plan_views
from tests.support import bundles
from tests.support.tensor_world import CONTRACT, IMAGE, NUMBERS, ROW, SHAPE, WEIGHTS, graph

DECODER = RequestDecoder(CONTRACT)
NOW = datetime(2013, 4, 1, tzinfo=UTC)
# The contract of tests/support/bundles.py as it was written before there were tensors.
BEFORE = "09bf92bbd28f0f6607958032a74c9052efb23cbd2e6fdd6188ff97fcc940ffad"


def changed(**changes: Any) -> ServingContract:
    """The contract with another image column."""
    columns = [msgspec.structs.replace(c, **changes) if c is IMAGE else c for c in CONTRACT.columns]
    return msgspec.structs.replace(CONTRACT, columns=tuple(columns))


def problems(body: object) -> dict[str, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refusal) as caught:
        DECODER.decode(data)
    assert 400 <= caught.value.status < 500
    return {error["path"]: error["message"] for error in json.loads(caught.value.body)["errors"]}


def test_a_contract_without_tensors_is_written_as_before() -> None:
    assert sha256_hex(canonical_json(msgspec.to_builtins(bundles.CONTRACT))) == BEFORE


def test_the_shape_is_part_of_the_contract() -> None:
    data = msgspec.json.encode(CONTRACT)
    assert decode_contract(data) == CONTRACT
    assert json.loads(data)["columns"][1]["shape"] == list(SHAPE)
    assert (CONTRACT.width, CONTRACT.places["image"], CONTRACT.places["hour"]) == (8, slice(1, 7), slice(7, 8))
    with pytest.raises(msgspec.ValidationError, match=">= 1"):
        decode_contract(data.replace(b"[2,3]", b"[2,0]"))
    with pytest.raises(msgspec.ValidationError, match="a tensor holds numbers"):
        decode_contract(data.replace(b'"name":"image","type":"float"', b'"name":"image","type":"text"'))


def test_elements_reach_the_model_row_by_row_between_the_other_numbers() -> None:
    batch = DECODER.decode(json.dumps(ROW).encode())
    assert batch.numeric.tolist() == [NUMBERS]
    assert batch.numeric.dtype == np.float32
    many = DECODER.decode(json.dumps({"rows": [ROW, ROW | {"warmth": -1, "hour": 0}]}).encode())
    assert many.numeric.tolist() == [NUMBERS, [-1, *NUMBERS[1:7], 0]]
    assert many.categorical.tolist() == [["A"], ["A"]]


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 99),
    rows=st.integers(1, 5),
)
def test_tensors_of_any_shape_arrive_as_they_are(shape: tuple[int, ...], seed: int, rows: int) -> None:
    images = np.random.default_rng(seed).normal(size=(rows, *shape)).astype(np.float32)
    columns = (Column(name="x", type="float", tensor=shape), Column(name="y", type="float", nullable=True))
    batch = RequestDecoder(ServingContract(model="m", columns=columns)).decode(
        msgspec.json.encode({"rows": [{"x": image} for image in images.tolist()]})
    )
    assert np.array_equal(batch.numeric[:, :-1], images.reshape(rows, -1))
    assert np.isnan(batch.numeric[:, -1]).all()


@pytest.mark.parametrize(
    ("image", "path", "message"),
    [
        ([[0, 1, 2]], "$.image", "Expected `array` of length >= 2"),
        ([[0, 1, 2]] * 3, "$.image", "Expected `array` of length <= 2"),
        ([[0, 1, 2], [3, 4]], "$.image[1]", "Expected `array` of length >= 3"),
        ([0, 1, 2, 3, 4, 5], "$.image", "Expected `array` of length <= 2"),
        ([0, 1], "$.image[0]", "Expected `array`, got `int`"),
        ([[[0], [1], [2]], [[3], [4], [5]]], "$.image[0][0]", "Expected `float`, got `array`"),
        (7, "$.image", "Expected `array`, got `int`"),
        (None, "$.image", "Expected `array`, got `null`"),
        ([[0, 1, 2], [3, 4, "5"]], "$.image[1][2]", "Expected `float`, got `str`"),
        ([[0, 1, 2], [3, 4, None]], "$.image[1][2]", "Expected `float`, got `null`"),
        ([[0, 1, 2], [3, 4, True]], "$.image[1][2]", "Expected `float`, got `bool`"),
        ([[0, 1, 2], [3, 4, 16.5]], "$.image[1][2]", "Expected `float` <= 16.0"),
        ([[0, 1, -1], [3, 4, 5]], "$.image[0][2]", "Expected `float` >= 0.0"),
        ([[0, 1, 1e39], [3, 4, 5]], "$.image[0][2]", "Expected `float` <= 16.0"),
    ],
)
def test_each_breach_is_named(image: object, path: str, message: str) -> None:
    found = problems(ROW | {"image": image})
    assert list(found) == [path]
    assert message in found[path]


def test_a_missing_image_and_one_that_is_no_json_are_refused() -> None:
    assert problems({name: value for name, value in ROW.items() if name != "image"}) == {"$.image": "is required"}
    for word in (b"NaN", b"Infinity", b"1e999", b"[" * 100_000):
        (path,) = problems(json.dumps(ROW).encode().replace(b"[0, 1, 2]", b"[0, 1, %s]" % word))
        assert path.startswith("$")
    second = problems({"rows": [ROW, ROW | {"image": [[1, 2, 3], [4, 5, 17]]}]})
    assert list(second) == ["$.rows[1].image[1][2]"]


def test_a_tensor_that_may_be_missing_is_missing_as_a_whole() -> None:
    contract = changed(nullable=True)
    rows = [ROW | {"image": None}, ROW, {name: value for name, value in ROW.items() if name != "image"}]
    batch = RequestDecoder(contract).decode(json.dumps({"rows": rows}).encode())
    assert np.isnan(batch.numeric).any(axis=1).tolist() == [True, False, True]
    assert np.isnan(batch.numeric[[0, 2], 1:7]).all()
    none: list[float | None] = [3.5, *[None] * 6, 7]
    assert np.isnan(infer(contract, none).numeric[0, 1:7]).all()
    with pytest.raises(Refusal) as caught:
        infer(contract, [3.5, None, *NUMBERS[2:]])
    assert b"data[0][1]" in caught.value.body
    assert b"or null throughout" in caught.value.body


def infer(contract: ServingContract, values: list[float | None] | list[float]) -> Any:
    inputs = [
        {"name": "numeric", "shape": [1, 8], "datatype": "FP32", "data": values},
        {"name": "categorical", "shape": [1, 1], "datatype": "BYTES", "data": ["A"]},
    ]
    return decode_infer(json.dumps({"inputs": inputs}).encode(), contract)[1]


def test_the_open_inference_protocol_takes_it_among_the_numbers() -> None:
    assert infer(CONTRACT, NUMBERS).numeric.tolist() == [NUMBERS]
    assert model_metadata(CONTRACT, "b")["inputs"] == [
        {"name": "numeric", "datatype": "FP32", "shape": [-1, 8]},
        {"name": "categorical", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    with pytest.raises(Refusal) as caught:
        infer(CONTRACT, [*NUMBERS[:6], 17, 7])
    told = json.loads(caught.value.body)["errors"]
    assert told == [{"path": "$.inputs.numeric.data[0][6]", "message": "`image` takes float from 0 to 16"}]
    with pytest.raises(Refusal, match="422"):
        infer(CONTRACT, NUMBERS[:7])


def model(contract: ServingContract = CONTRACT) -> Model:
    return Model("sha256:m", contract, graph())


def test_the_document_of_the_endpoint_says_the_shape() -> None:
    row = openapi(model(), "e")["components"]["schemas"]["RowByKey"]["properties"]["image"]
    assert (row["minItems"], row["maxItems"], row["x-unit"]) == (2, 2, "level")
    assert (row["items"]["minItems"], row["items"]["maxItems"]) == (3, 3)
    element = row["items"]["items"]
    assert (element["type"], element["minimum"], element["maximum"]) == ("number", 0, 16)


def test_the_model_checks_its_example() -> None:
    answer = 1 / (1 + math.exp(-float(np.dot(NUMBERS, WEIGHTS))))
    model().check_example(msgspec.json.encode({"request": ROW, "answer": answer}))


def logged(contract: ServingContract, row: dict[str, Any]) -> PredictionRecord:
    served = model(contract)
    batch = served.decoder.decode(json.dumps(row).encode())
    answer = served.run(batch.numeric, batch.categorical)
    document = bundles.release("sha256:m", 1)
    told = served.answers.predictions(contract.model, document, [UNMARKED], answer)
    return next(iter(read_segment(b"".join(records(Occasion("e", NOW), served.log_plan(batch.form), batch, told)))))


def test_the_log_keeps_the_tensor_as_it_was_asked_and_as_it_was_seen() -> None:
    record = logged(CONTRACT, ROW)
    assert record.request["image"] == ROW["image"]
    assert record.features == {"warmth": 3.5, "image": [[0, 1, 2], [3, 4, 16]], "hour": 7, "maker": "A"}
    assert logged(changed(nullable=True), ROW | {"image": None}).features["image"] is None


def test_a_personal_tensor_is_in_no_log() -> None:
    record = logged(changed(classification="personal"), ROW)
    assert (record.request["image"], record.features["image"]) == (None, None)
    assert record.features["hour"] == 7


def test_a_view_cannot_bring_a_tensor() -> None:
    view = bundles.WEATHER
    column = Column(name="wind", type="float", view=view.name, tensor=(2,))
    contract = ServingContract(model="m", columns=(column,), views=(view,))
    with pytest.raises(ContractError, match="as a number"):
        plan_views(contract, RequestDecoder(contract).keyed)
