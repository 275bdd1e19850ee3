"""A contract's columns as msgspec types: what one field of a request may be."""

import math
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

from formats.contract import Column, ServingContract

# A type for msgspec that is built at run time; no static type says which.
MadeType: TypeAlias = Any

_FLOAT32 = float(np.finfo(np.float32).max)
_INT64 = 1 << 63
_TEXT = 4096

# Keys that are no column of the model have no declared type; text and whole numbers address entities.
KEY_TYPE: MadeType = (
    Annotated[str, msgspec.Meta(max_length=_TEXT)] | Annotated[int, msgspec.Meta(ge=-_INT64, le=_INT64 - 1)]
)


class Field(NamedTuple):
    """One field of a row: its name in the request, its type for msgspec, and whether it may be left out."""

    name: str
    type: MadeType
    required: bool


def request_fields(contract: ServingContract) -> tuple[Field, ...]:
    """The fields of a row by key: the request columns, and the keys of the views."""
    columns = [column_field(column) for column in contract.request]
    return (*columns, *(Field(name, KEY_TYPE, True) for name in key_names(contract)))


def full_fields(contract: ServingContract) -> tuple[Field, ...]:
    """The fields of a full feature row: all columns; keys may come along and are logged."""
    columns = [column_field(column) for column in contract.columns]
    return (*columns, *(Field(name, KEY_TYPE | None, False) for name in key_names(contract)))


def key_names(contract: ServingContract) -> tuple[str, ...]:
    """Keys of the views that are not columns of the request themselves, each once."""
    known = {column.name for column in contract.request}
    names = dict.fromkeys(key for view in contract.views for key in view.keys)
    return tuple(name for name in names if name not in known)


def column_field(column: Column) -> Field:
    """The field of a column. A nullable one may be null or absent, which is the same."""
    kind = _value_type(column)
    return Field(column.name, kind | None if column.nullable else kind, not column.nullable)


def _value_type(column: Column) -> MadeType:
    about: dict[str, Any] = {"description": column.description or None}
    if column.unit:
        about["extra_json_schema"] = {"x-unit": column.unit}
    return _tensor_type(column, about) if column.shape else _single_type(column, about)


def _tensor_type(column: Column, about: dict[str, Any]) -> MadeType:
    """Lists in lists, each as long as the shape has it; what is said about the column stands at the outermost."""
    kind = _single_type(column, {})
    for axis, extent in reversed(list(enumerate(column.shape))):
        kind = Annotated[
            GenericAlias(list, kind), msgspec.Meta(min_length=extent, max_length=extent, **(about if axis == 0 else {}))
        ]
    return kind


def _single_type(column: Column, about: dict[str, Any]) -> MadeType:
    if column.type == "text":
        return _text_type(column, about)
    if column.type == "bool":
        return Annotated[bool, msgspec.Meta(**about)]
    low, high = bounds(column)
    if column.type == "int":
        return Annotated[int, msgspec.Meta(ge=math.ceil(low), le=math.floor(high), **about)]
    return Annotated[float, msgspec.Meta(ge=low, le=high, **about)]


def _text_type(column: Column, about: dict[str, Any]) -> MadeType:
    if column.strict and column.allowed:
        return Annotated[Literal[column.allowed], msgspec.Meta(**about)]
    return Annotated[str, msgspec.Meta(max_length=_TEXT, **about)]


def bounds(column: Column) -> tuple[float, float]:
    """The least and greatest value of a column: as declared, within what the model's float32 (or a 64-bit integer) can hold."""
    if column.type == "bool":
        return 0, 1
    low, high = (-_INT64, _INT64 - 1) if column.type == "int" else (-_FLOAT32, _FLOAT32)
    minimum = low if column.minimum is None else max(low, column.minimum)
    maximum = high if column.maximum is None else min(high, column.maximum)
    return minimum, maximum
