"""From the bytes of a request to the model's matrices, by structs that are generated from the contract.

A row comes in one of two forms: by key (request columns and entity keys) or in full (all columns). Typed decoding is the fast
path; a request that fails it is read again by serving/diagnosis.py, slowly, to say everything that is wrong with it.
"""

import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from types import GenericAlias
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from formats.contract import Column, ServingContract
from serving.columns import Field, MadeType, full_fields, request_fields
from serving.diagnosis import Form, diagnose

MAX_ROWS = 10_000
_NULL = np.array(None, dtype=object)
_MANY = re.compile(rb'\s*\{\s*"rows"\s*:')

Row = Any
Numeric = NDArray[np.float32]
Categorical = NDArray[np.object_]


class Batch(NamedTuple):
    """Decoded rows and their matrices in contract order. View columns of rows by key are NaN until they are fetched.

    `form` is absent when the rows came as tensors.
    """

    form: "RowForm | None"
    rows: Sequence[Row]
    single: bool
    numeric: Numeric
    categorical: Categorical


class RowForm:
    """One way of writing a row, compiled: a struct, its decoders, and getters for the columns of each matrix."""

    def __init__(self, name: str, contract: ServingContract, fields: tuple[Field, ...]) -> None:
        self.name = name
        self.fields = {field.name: field for field in fields}
        self._attributes = {field.name: f"c{index}" for index, field in enumerate(fields)}
        self.struct = _struct(name, fields)
        self.decode_one = msgspec.json.Decoder(self.struct).decode
        self.decode_many = msgspec.json.Decoder(_many(self.struct)).decode
        self._numeric = _Block(self, contract.numeric, contract.width)
        self._categorical = _Block(self, contract.categorical, len(contract.categorical))
        self._tensors = any(column.shape for column in contract.numeric)
        self._places = [place for name, place in contract.places.items() if name in self.fields]
        self._nullable_text = any(column.nullable for column in contract.categorical)

    def reader(self, names: Sequence[str]) -> Callable[[Row], Any]:
        """Reads the values of `names` from a decoded row: of one name its value, else a tuple of them."""
        return attrgetter(*(self._attributes[name] for name in names)) if names else lambda _: ()

    def getter(self, names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
        """Reads the values of `names` from a decoded row, always as a tuple."""
        return _tuple_getter([self._attributes[name] for name in names])

    def numeric(self, rows: Sequence[Row]) -> Numeric:
        """The numeric matrix; null is NaN."""
        block = self._numeric
        if self._tensors:
            return self._by_column(rows)
        values = np.array([block.get(row) for row in rows], dtype=np.float32)
        if block.targets is None:
            return values.reshape(len(rows), block.width)
        matrix = np.full((len(rows), block.width), np.nan, dtype=np.float32)
        matrix[:, block.targets] = values.reshape(len(rows), len(block.targets))
        return matrix

    def _by_column(self, rows: Sequence[Row]) -> Numeric:
        """The numeric matrix where a column may be a tensor, which is several of its columns."""
        matrix = np.full((len(rows), self._numeric.width), np.nan, dtype=np.float32)
        for place, values in zip(self._places, zip(*map(self._numeric.get, rows), strict=True), strict=True):
            held = [row for row, value in enumerate(values) if value is not None]
            given = np.array([values[row] for row in held], dtype=np.float32)
            matrix[held, place] = given.reshape(len(held), place.stop - place.start)
        return matrix

    def categorical(self, rows: Sequence[Row]) -> Categorical:
        """The categorical matrix; null is the empty text."""
        block = self._categorical
        given = np.array([block.get(row) for row in rows], dtype=object)
        if self._nullable_text:
            given[np.equal(given, _NULL)] = ""
        if block.targets is None:
            return given.reshape(len(rows), block.width)
        matrix = np.full((len(rows), block.width), "", dtype=object)
        matrix[:, block.targets] = given.reshape(len(rows), len(block.targets))
        return matrix


class _Block:
    """The columns of one matrix that a form brings; `targets` is None when it brings them all."""

    def __init__(self, form: RowForm, columns: Sequence[Column], width: int) -> None:
        given = [(index, column.name) for index, column in enumerate(columns) if column.name in form.fields]
        self.width = width
        self.get = form.getter([name for _, name in given])
        whole = len(given) == len(columns)
        self.targets = None if whole else np.array([index for index, _ in given], dtype=np.intp)


class RequestDecoder:
    """Requests of one contract. Worked example, for a model of `distance` and the view column `wind` of an `airport`:

    {"distance": 400, "airport": "JFK"}     one row by key
    {"distance": 400, "wind": 12.5}         one full row
    {"rows": [{...}, {...}]}                many rows of one form
    """

    def __init__(self, contract: ServingContract) -> None:
        self.keyed = RowForm("RowByKey", contract, request_fields(contract))
        self.full = RowForm("FullRow", contract, full_fields(contract))
        self._view_columns = frozenset(column.name for column in contract.columns if column.view is not None)

    def decode(self, body: bytes) -> Batch:
        """The rows in `body`. Raises Refusal with the path of each field that breaks the contract."""
        single = _MANY.match(body) is None
        for form in (self.keyed, self.full):
            try:
                rows = [form.decode_one(body)] if single else form.decode_many(body).rows
            except (ValueError, RecursionError):
                continue
            return Batch(form, rows, single, form.numeric(rows), form.categorical(rows))
        raise diagnose(body, self.form_of)

    def form_of(self, row: dict[str, object]) -> Form:
        """The form that a row was meant to have: in full as soon as it names a view's column."""
        return self.full if self._view_columns.intersection(row) else self.keyed


def _struct(name: str, fields: Sequence[Field]) -> type[msgspec.Struct]:
    # Attributes have neutral names because a column may be called `class` or `__init__`.
    members: list[Any] = []
    for index, field in enumerate(fields):
        members.append((f"c{index}", field.type) if field.required else (f"c{index}", field.type, None))
    rename = {f"c{index}": field.name for index, field in enumerate(fields)}
    return msgspec.defstruct(name, members, rename=rename, kw_only=True, gc=False, forbid_unknown_fields=True)


def _many(row: type[msgspec.Struct]) -> MadeType:
    limits = msgspec.Meta(min_length=1, max_length=MAX_ROWS)
    rows: MadeType = GenericAlias(list, row)
    members = [("rows", Annotated[rows, limits])]
    return msgspec.defstruct(f"Many{row.__name__}", members, forbid_unknown_fields=True)


def _tuple_getter(attributes: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    if not attributes:
        return lambda _: ()
    read = attrgetter(*attributes)
    if len(attributes) == 1:
        return lambda row: (read(row),)
    return read
