"""Declarations as plain values, for fingerprints and records: equal declarations give equal values in every process."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from functools import partial
from pathlib import PurePath

from formats.canonical import Json, canonical_json
from formats.errors import DeclarationError


def plain(declared: object) -> Json:  # noqa: PLR0911 one kind of value after the other
    """What was declared, as JSON: a function by its name, a span in seconds, a declaration by its kind and fields.

    Raises:
        DeclarationError: an object whose value is not known; two that differ would count as equal.
    """
    if declared is None or isinstance(declared, bool | int | float | str):
        return declared
    if isinstance(declared, timedelta):
        return declared.total_seconds()
    if isinstance(declared, date | PurePath):
        return str(declared)
    if isinstance(declared, Enum):
        return f"{_name(type(declared))}.{declared.name}"
    if isinstance(declared, tuple | list):
        return [plain(one) for one in declared]
    if isinstance(declared, AbstractSet):
        return sorted((plain(one) for one in declared), key=canonical_json)
    if isinstance(declared, Mapping):
        return {str(name): plain(one) for name, one in declared.items()}
    if isinstance(declared, partial):
        return {"function": plain(declared.func), "arguments": plain(declared.args), "named": plain(declared.keywords)}
    if is_dataclass(declared) and not isinstance(declared, type):
        found = {field.name: plain(getattr(declared, field.name)) for field in fields(declared)}
        return {"kind": type(declared).__name__, **found}
    return _name(declared)


def _name(declared: object) -> str:
    """Where a function or class is defined."""
    if not hasattr(declared, "__qualname__"):
        raise DeclarationError(
            "declaration-invalid",
            f"nobody can tell {declared!r} ({type(declared).__qualname__}) from another by what it is declared with",
            "give numbers, texts, dates, functions, classes, or a frozen dataclass of these",
        )
    return f"{getattr(declared, '__module__', '')}.{declared.__qualname__}"
