"""What a bundle may have of people: nothing that an erasure would have to take out of it."""

import dataclasses

import pandera.polars as pa
import polars as pl
import pytest

from formats.contract import Column, ServingContract
from formats.errors import DeclarationError
from platform_assets.contracts.spec import Contract
from platform_assets.training.build import example_row
from tests.support.travel import MODEL, PERSONAL, Instant


class Named(pa.DataFrameModel):
    """A question that would give the model a name."""

    booking: int
    passenger: str = pa.Field(metadata=PERSONAL)
    fare: float
    asked: Instant


def test_a_personal_text_is_no_input() -> None:
    spine = dataclasses.replace(
        MODEL.training_set.spine, contract=Contract(Named, ("booking",), "asked"), request=("fare", "passenger")
    )
    with pytest.raises(DeclarationError, match="passenger, which is personal and a text"):
        dataclasses.replace(MODEL.training_set, spine=spine)


def test_an_example_has_nothing_personal_of_its_row() -> None:
    columns = (
        Column(name="fare", type="float"),
        Column(name="age", type="int", classification="personal"),
        Column(name="weight", type="float", nullable=True, classification="personal"),
        Column(name="member", type="bool", classification="personal"),
    )
    rows = pl.DataFrame(
        {"fare": [1.0, 2.0, 3.0], "age": [91, 30, 31], "weight": [140.0, 60.0, 61.0], "member": [True, False, False]}
    )
    (row,) = example_row(ServingContract(model="travel/no_show", columns=columns), rows).rows(named=True)
    assert row == {"fare": 1.0, "age": 31, "weight": None, "member": False}
