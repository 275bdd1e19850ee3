"""Declarations as plain values, for fingerprints and records: equal declarations give equal values in every process."""

from dataclasses import fields, is_dataclass
from datetime import timedelta

from formats.canonical import Json


def plain(declared: object) -> Json:
    """What was declared, as JSON: a function by its name, a span in seconds, a declaration by its kind and fields."""
    if declared is None or isinstance(declared, bool | int | float | str):
        return declared
    if isinstance(declared, timedelta):
        return declared.total_seconds()
    if isinstance(declared, tuple | list):
        return [plain(one) for one in declared]
    if is_dataclass(declared) and not isinstance(declared, type):
        found = {field.name: plain(getattr(declared, field.name)) for field in fields(declared)}
        return {"kind": type(declared).__name__, **found}
    return f"{getattr(declared, '__module__', '')}.{getattr(declared, '__qualname__', type(declared).__name__)}"
