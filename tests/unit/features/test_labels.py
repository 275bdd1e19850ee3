"""Label views: the answer known last by an instant, whatever order the versions are stored in, or a reason why not."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.errors import DeclarationError
from platform_assets.contracts.spec import Contract
from platform_assets.features.labels import FIRST_ANSWER, LabelView
from platform_assets.features.spec import Entity, RawTable

START = datetime(2013, 4, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
SCHEMA = {"loan": pl.Int64, "defaulted": pl.Boolean, "event_time": TIME, "known_time": TIME}
Instant = Annotated[pl.Datetime, "us", "UTC"]


class Defaults(pa.DataFrameModel):
    """Whether a loan was paid back, as it was known."""

    loan: int
    defaulted: bool = pa.Field(nullable=True)
    event_time: Instant
    known_time: Instant


LOAN = Entity("loan", ("loan",))
CONTRACT = Contract(Defaults, ("loan",), "event_time", "known_time")


def table(contract: Contract) -> RawTable:
    return RawTable("defaults", contract, "Defaults.", read_whole=pl.LazyFrame)


DEFAULTED = LabelView("defaulted", LOAN, table(CONTRACT), "defaulted", timedelta(days=90))

versions = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([True, False, None]), st.integers(0, 5), st.integers(0, 9)),
    max_size=30,
    unique_by=lambda row: (row[0], row[2], row[3]),
)


def hours(number: int) -> datetime:
    return START + timedelta(hours=number)


@given(versions, st.integers(-1, 9), st.randoms(use_true_random=False))
def test_the_version_known_last_answers_in_any_order_of_storage(
    rows: list[tuple[Any, ...]], at: int, random: Any
) -> None:
    random.shuffle(rows)
    stored = [(loan, found, hours(event), hours(known)) for loan, found, event, known in rows]
    frame = DEFAULTED.known(pl.LazyFrame(stored, schema=SCHEMA, orient="row"), hours(at)).collect()
    expected = {}
    for loan in {row[0] for row in rows if row[3] <= at}:
        known = sorted((row[3], row[2], row[1]) for row in rows if row[0] == loan and row[3] <= at)
        expected[loan] = (known[-1][2], known[0][2])
    found = {loan: (last, first) for loan, last, first in frame.select("loan", "defaulted", FIRST_ANSWER).rows()}
    assert found == expected
    assert frame.height == len(expected), "one row a key"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown column": ({"column": "paid"}, "has the column paid, which defaults lacks"),
    "another entity": ({"entity": Entity("bank", ("bank",))}, r"the key \('bank',\), and defaults has known_time"),
    "no known time": ({"table": table(Contract(Defaults, ("loan",), "event_time"))}, "needs a table with a known time"),
    "its own key": ({"column": "loan"}, "answers with loan"),
    "its time": ({"column": "known_time"}, "answers with known_time"),
    "known before it is asked": ({"delay": timedelta(hours=-1)}, "is known 1:00:00 before it is asked for"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_label_view_that_contradicts_itself_is_refused(name: str) -> None:
    changes, told = WRONG[name]
    declared = {"name": "x", "entity": LOAN, "table": table(CONTRACT), "column": "defaulted", "delay": timedelta()}
    with pytest.raises(DeclarationError, match=told) as caught:
        LabelView(**{**declared, **changes})
    assert caught.value.code == "declaration-invalid"
