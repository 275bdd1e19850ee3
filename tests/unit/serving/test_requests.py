import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.contract import Column, ServingContract
from serving.refusals import Refusal
from serving.requests import MAX_ROWS, Batch, RequestDecoder
from tests.support.bundles import CONTRACT, full_row
from tests.support.rubbish import RUBBISH

DECODER = RequestDecoder(CONTRACT)
KEYED = {"distance": 400, "hour": 7, "carrier": "AA", "airport": "JFK"}


def problems(body: object) -> dict[str, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refusal) as caught:
        DECODER.decode(data)
    document = json.loads(caught.value.body)
    assert document["code"] == "request-invalid"
    assert 400 <= caught.value.status < 500
    return {error["path"]: error["message"] for error in document["errors"]}


def test_full_row_in_contract_order() -> None:
    batch = DECODER.decode(json.dumps(full_row(pressure=1000)).encode())
    assert batch.single
    assert batch.form is DECODER.full
    assert batch.numeric.tolist() == [[400, 7, 1000, 12]]
    assert batch.numeric.dtype == np.float32
    assert batch.categorical.tolist() == [["DL", "N1"]]


def test_null_and_absent_are_the_same() -> None:
    rows = [full_row(), {name: value for name, value in full_row(tail=None).items() if value is not None}]
    batch = DECODER.decode(json.dumps({"rows": rows}).encode())
    assert np.isnan(batch.numeric[:, 2]).all()
    assert batch.categorical.tolist() == [["DL", "N1"], ["DL", ""]]


def test_row_by_key_leaves_view_columns_open() -> None:
    batch = DECODER.decode(json.dumps(KEYED).encode())
    assert batch.form is DECODER.keyed
    assert batch.numeric[0, :2].tolist() == [400, 7]
    assert math.isnan(batch.numeric[0, 3])


def attempt(body: bytes) -> tuple[int, Batch | None]:
    try:
        return 200, DECODER.decode(body)
    except Refusal as refusal:
        json.loads(refusal.body)
        return refusal.status, None


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"distance": "far"}, "$.distance", "Expected `float`, got `str`"),
        ({"distance": True}, "$.distance", "Expected `float`, got `bool`"),
        ({"distance": -1}, "$.distance", "Expected `float` >= 0.0"),
        ({"distance": None}, "$.distance", "Expected `float`, got `null`"),
        ({"hour": 7.5}, "$.hour", "Expected `int`"),
        ({"hour": 24}, "$.hour", "Expected `int` <= 23"),
        ({"carrier": "ZZ"}, "$.carrier", "Invalid enum value 'ZZ'"),
        ({"airport": ["JFK"]}, "$.airport", "Expected"),
        ({"distnce": 1}, "$.distnce", "unknown field; did you mean `distance`?"),
    ],
)
def test_each_breach_is_named(change: dict[str, Any], path: str, message: str) -> None:
    found = problems(KEYED | change)
    assert list(found) == [path]
    assert message in found[path]


def test_missing_fields_depend_on_the_form() -> None:
    assert problems({"distance": 1}) == {f"$.{name}": "is required" for name in ("hour", "carrier", "airport")}
    assert problems({"wind": 1}) == {f"$.{name}": "is required" for name in ("distance", "hour", "carrier")}


def test_problems_of_many_rows_carry_their_row() -> None:
    found = problems({"rows": [KEYED, KEYED | {"distance": "x"}, KEYED, 5, KEYED | {"hour": 99, "carrier": 1}]})
    assert set(found) == {"$.rows[1].distance", "$.rows[3]", "$.rows[4].hour", "$.rows[4].carrier"}


def test_forms_must_not_be_mixed() -> None:
    assert set(problems({"rows": [KEYED, full_row()]})) == {"$.rows[1]"}


def test_row_counts_are_limited() -> None:
    assert "$.rows" in problems({"rows": []})
    assert "$.rows" in problems({"rows": [KEYED] * (MAX_ROWS + 1)})
    assert len(DECODER.decode(json.dumps({"rows": [KEYED] * MAX_ROWS}).encode()).rows) == MAX_ROWS


def test_errors_are_bounded() -> None:
    assert len(problems({"rows": [{}] * 5000})) == 100


@pytest.mark.parametrize("body", RUBBISH)
def test_rubbish_is_refused(body: bytes) -> None:
    assert problems(body)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3).map(repr)
names = st.sampled_from([*KEYED, "wind", "tail", "rows", "x"])
json_values = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner), max_leaves=12
)


@settings(max_examples=150)
@given(json_values | st.fixed_dictionaries({"rows": st.lists(json_values, max_size=4)}))
def test_any_json_is_decoded_or_refused(value: object) -> None:
    status, batch = attempt(json.dumps(value).encode())
    assert status == 200 or 400 <= status < 500
    assert batch is None or np.isfinite(batch.numeric[~np.isnan(batch.numeric)]).all()


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    with pytest.raises(Refusal):
        DECODER.decode(body)


def test_columns_may_have_any_name() -> None:
    columns = tuple(Column(name=name, type="float") for name in ("class", "__init__", "1", "a b", "c0"))
    decoder = RequestDecoder(ServingContract(model="m", columns=columns))
    batch = decoder.decode(msgspec.json.encode({column.name: index for index, column in enumerate(columns)}))
    assert batch.numeric.tolist() == [[0, 1, 2, 3, 4]]
