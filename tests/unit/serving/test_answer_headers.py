"""What the headers of an answer say, and that no name in them can end one."""

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from formats.contract import Column, ServingContract
from serving.answer_headers import MAX_IDS, MAX_NAMES, AnswerHeaders
from serving.answers import Prediction
from tests.support.bundles import release

DIGEST = "sha256:" + "0" * 64
HOSTILE = "a\r\nset-cookie: x, é%"
NAMES = ("wind", HOSTILE, *(f"c{number}" for number in range(50)))
CONTRACT = ServingContract(
    model="aviation/departure delay", columns=tuple(Column(name=name, type="float") for name in NAMES)
)
DOCUMENT = release(DIGEST, 1, expires_at=datetime(2030, 1, 1, tzinfo=UTC))
HEADERS = AnswerHeaders(DOCUMENT, CONTRACT)


def row(number: int = 0, **marks: tuple[str, ...]) -> Prediction:
    return Prediction(f"id-{number}", 0.5, CONTRACT.model, DOCUMENT.release, DIGEST, **marks)


def told(*rows: Prediction) -> dict[str, str]:
    return {name.decode(): value.decode("ascii") for name, value in HEADERS.of(rows)}


def test_one_row_that_is_as_it_should_be() -> None:
    assert told(row(7)) == {
        "content-type": "application/json",
        "x-roadbed-model": "aviation/departure%20delay",
        "x-roadbed-release": DOCUMENT.release,
        "x-roadbed-bundle": DIGEST,
        "x-roadbed-prediction": "id-7",
    }


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_marks_of_any_row_are_told(rows: int) -> None:
    others = [row(number) for number in range(1, rows)]
    found = told(*others, row(stale=("c3", "wind"), degraded=("c1",)))
    assert (found["x-roadbed-stale"], found["x-roadbed-degraded"]) == ("wind,c3", "c1")
    assert "x-roadbed-missing" not in found


def test_marks_of_several_rows_are_told_once_in_the_contracts_order() -> None:
    found = told(row(stale=("c2",)), row(stale=("wind", "c2"), missing=("c0",)), row(missing=("c1", "c0")))
    assert (found["x-roadbed-stale"], found["x-roadbed-missing"]) == ("wind,c2", "c0,c1")


def test_a_name_can_neither_end_a_header_nor_pass_for_two() -> None:
    found = told(row(missing=("wind", HOSTILE)))["x-roadbed-missing"]
    assert not set(found) & set("\r\n ")
    assert [unquote(name) for name in found.split(",")] == ["wind", HOSTILE]


def test_many_names_are_bounded_and_say_how_many_more_there_are() -> None:
    names = told(row(stale=NAMES))["x-roadbed-stale"].split(",")
    assert (len(names), names[-1]) == (MAX_NAMES + 1, f"+{len(NAMES) - MAX_NAMES}")
    assert told(row(stale=NAMES[:MAX_NAMES]))["x-roadbed-stale"].count(",") == MAX_NAMES - 1


def test_ids_stand_in_the_rows_order_up_to_a_number_of_rows() -> None:
    few = [row(number) for number in range(MAX_IDS)]
    assert told(*few)["x-roadbed-prediction"] == ",".join(one.prediction for one in few)
    assert "x-roadbed-prediction" not in told(*few, row(99))
