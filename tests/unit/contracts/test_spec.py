"""A contract that names columns it does not have is refused where it is declared."""

from typing import Any

import pandera.polars as pa
import pytest

from formats.errors import DeclarationError
from platform_assets.contracts.spec import Contract


class Table(pa.DataFrameModel):
    """A table."""

    place: str
    wind: float = pa.Field(ge=0, le=150, metadata={"unit": "mph"})
    event: int
    known: int


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"key": ("plaice",)}, "plaice"),
        ({"event_time": "when"}, "when"),
        ({"known_time": "learnt"}, "learnt"),
        ({"outcomes": {"gust": "block"}}, "gust"),
    ],
)
def test_an_unknown_column_is_named_with_the_known_ones(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(DeclarationError, match=name) as caught:
        Contract(Table, **{"key": ("place",), **changes})
    assert caught.value.code == "declaration-invalid"
    assert "Table" in caught.value.message
    assert "place" in caught.value.hint


def test_rows_are_told_apart_by_key_and_times() -> None:
    assert Contract(Table, ("place",)).row_key == ("place",)
    assert Contract(Table, ("place",), known_time="known").row_key == ("place", "known")
    assert Contract(Table, ("place",), "event", "known").row_key == ("place", "event", "known")


def test_bounds_and_metadata_are_those_of_the_field() -> None:
    contract = Contract(Table, ("place",))
    assert contract.statistics("wind") == {"min_value": 0, "max_value": 150}
    assert (contract.metadata("wind"), contract.metadata("place")) == ({"unit": "mph"}, {})
    assert list(contract.columns) == ["place", "wind", "event", "known"]
