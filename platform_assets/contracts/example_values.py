"""The values that a column of an example is drawn from, derived from its declaration."""

import string
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from math import prod
from typing import Any

import numpy as np
import polars as pl

from platform_assets.contracts.projections import polars_type, serving_column
from platform_assets.contracts.spec import Contract
from platform_assets.tensors import Shape, element_type, shape_of

_SPAN = 1000.0  # of numbers without bounds
_SPARE = 4  # values for each row asked for: some are drawn into rows that break a rule
_DIGITS = string.ascii_lowercase
_LENGTH = 6  # of texts without one
_FIRST = datetime(2013, 1, 1)  # noqa: DTZ001 the column's type says whether there is a zone
_EPOCH = date(2013, 1, 1)


def pool_of(contract: Contract, name: str, random: np.random.Generator, rows: int) -> list[Any]:
    """Values that keep the column's own rules, as many distinct ones as its contract wants and `rows` can show."""
    wanted = _wanted(contract, name, rows)
    facts = _facts(contract, name)
    listed = facts.get("allowed_values")
    shape = shape_of(polars_type(contract, name))
    if shape:
        return _tensors(contract, name, random, shape, wanted)
    values = [value for value in listed if _allowed(value, facts)] if listed is not None else []
    if listed is None:
        values = [
            value for value in _made(contract, name, random, wanted + len(_barred(facts))) if _allowed(value, facts)
        ]
    distinct = list(dict.fromkeys(values))
    return distinct[:wanted] or [None]


def _wanted(contract: Contract, name: str, rows: int) -> int:
    bounds = contract.distinct.get(name)
    return bounds.at_most if bounds and bounds.at_most else _SPARE * max(rows, 1)


def _made(contract: Contract, name: str, random: np.random.Generator, count: int) -> Iterable[Any]:
    dtype = polars_type(contract, name)
    if dtype == pl.Boolean:
        return [False, True]
    if dtype.is_numeric():
        return _numbers(contract, name, random, count)
    if isinstance(dtype, pl.Datetime):
        return [_FIRST + timedelta(minutes=index) for index in range(count)]
    if dtype == pl.Date:
        return [_EPOCH + timedelta(days=index) for index in range(count)]
    if dtype == pl.Duration:
        return [timedelta(minutes=index) for index in range(count)]
    return _texts(_facts(contract, name), count) if dtype == pl.String else []


def _numbers(contract: Contract, name: str, random: np.random.Generator, count: int) -> list[Any]:
    dtype, declared = element_type(polars_type(contract, name)), serving_column(contract, name, None)
    low, high = _bounds(declared.minimum, declared.maximum)
    if dtype.is_integer():
        first, last = int(np.ceil(low)), int(np.floor(high))
        if last - first < 2 * count:
            return [int(value) for value in random.permutation(np.arange(first, last + 1))]
        return [int(value) for value in random.integers(first, last + 1, 2 * count)]
    inner = random.uniform(low, high, count)
    rounded = np.clip(np.round(inner, 2), low, high)
    return [float(value) for value in rounded]


def _tensors(contract: Contract, name: str, random: np.random.Generator, shape: Shape, count: int) -> list[Any]:
    """Tensors whose elements are drawn as single numbers would be."""
    numbers = np.array(_numbers(contract, name, random, 2 * prod(shape)))
    tensors: list[Any] = random.choice(numbers, (count, *shape)).tolist()
    return tensors


def _bounds(low: float | None, high: float | None) -> tuple[float, float]:
    if low is None:
        low = 0.0 if high is None or high >= 0 else high - _SPAN
    return low, low + _SPAN if high is None else high


def _texts(facts: Mapping[str, Any], count: int) -> list[str]:
    low, high = facts.get("min_length") or 0, facts.get("max_length")
    around = facts.get("prefix", "") + facts.get("inside", "")
    suffix = facts.get("suffix", "")
    fixed = len(around) + len(suffix)
    length = max(low - fixed, min(_LENGTH, high - fixed) if high is not None else _LENGTH, 0)
    return [around + _counted(index, length) + suffix for index in range(min(count, len(_DIGITS) ** length))]


def _counted(number: int, length: int) -> str:
    """`number` in letters, so many of them."""
    letters = ""
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        letters = _DIGITS[digit] + letters
    return letters


def _facts(contract: Contract, name: str) -> dict[str, Any]:
    """What the column's checks say, under names that tell a text's length from a number's bounds."""
    found: dict[str, Any] = {}
    for check in contract.columns[name].checks:
        said = check.statistics or {}
        if check.name == "str_length":
            exact = said.get("exact_value")
            low, high = (said.get("min_value"), said.get("max_value")) if exact is None else (exact, exact)
            found |= {"min_length": low, "max_length": high}
        elif check.name in _TEXTS:
            found[_TEXTS[check.name]] = next(iter(said.values()))
        elif check.name == "equal_to":
            found["allowed_values"] = [said["value"]]
        elif check.name == "isin":
            found["allowed_values"] = sorted(said["allowed_values"])
        elif check.name in ("not_equal_to", "notin"):
            found["barred"] = [*found.get("barred", ()), *said.get("forbidden_values", [said.get("value")])]
    return found


_TEXTS = {"str_startswith": "prefix", "str_contains": "inside", "str_endswith": "suffix"}


def _barred(facts: Mapping[str, Any]) -> list[Any]:
    return list(facts.get("barred", ()))


def _allowed(value: object, facts: Mapping[str, Any]) -> bool:
    return value not in _barred(facts)
