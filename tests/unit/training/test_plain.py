"""Declarations as plain values: what differs differs, what is equal is equal, and what cannot be told is refused."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pytest

from formats.canonical import canonical_json
from formats.errors import DeclarationError
from platform_assets.training.plain import plain


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Step:
    rate: float
    when: date | None = None


def loss(margin: float) -> float:
    return margin


def test_what_differs_differs() -> None:
    values: list[Any] = [
        date(2013, 1, 1), date(2013, 1, 2), datetime(2013, 1, 1, tzinfo=UTC), timedelta(1), Colour.RED, Colour.BLUE,
        PurePosixPath("a"), frozenset({1, 2}), frozenset({1, 3}), partial(loss, 1.0), partial(loss, 2.0), partial(loss, margin=2.0),
        loss, Step, Step(0.1), Step(0.1, date(2013, 1, 1)), {"a": 1}, None, True, 1.5, 1, "1",
    ]  # fmt: skip
    told = [canonical_json(plain(value)) for value in values]
    assert [pair for pair in itertools.combinations(range(len(told)), 2) if told[pair[0]] == told[pair[1]]] == []


@pytest.mark.parametrize(
    "make", [lambda: frozenset({"b", "a", "c"}), lambda: Step(0.1, date(2013, 1, 1)), lambda: partial(loss, margin=1.0)]
)
def test_what_is_equal_is_equal(make: Callable[[], object]) -> None:
    assert canonical_json(plain(make())) == canonical_json(plain(make()))


def test_a_number_with_a_name_is_its_number() -> None:
    assert plain(Level.LOW) == 1


@pytest.mark.parametrize("value", [object(), b"bytes", 1j])
def test_what_nobody_can_tell_from_another_is_refused(value: object) -> None:
    with pytest.raises(DeclarationError, match="nobody can tell"):
        plain({"settings": [value]})
