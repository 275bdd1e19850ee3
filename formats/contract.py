"""The serving contract: what a model's endpoint takes and gives, derived from the feature views and never written by hand.

It is a file of the bundle. A request names the request columns and the entity keys of the views; the endpoint fetches the rest from
the online store. Or it names the full feature row. Either way the columns reach the ONNX graph as two inputs, in contract order:
`numeric` float32 [rows, width] with NaN for missing, `categorical` string [rows, categorical columns]. A column takes one number of
`numeric`, a tensor as many as it has elements, in row-major order; a tensor that is missing is NaN throughout.
"""

from itertools import accumulate
from math import prod
from typing import Annotated, Literal

import msgspec

from formats.task import BINARY, Multiclass, Regression, Task

FORMAT = "roadbed/contract@1"

ColumnType = Literal["float", "int", "bool", "text"]
Classification = Literal["public", "internal", "personal"]
WithoutStore = Literal["refuse", "default"]
_Extent = Annotated[int, msgspec.Meta(ge=1)]


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One feature. `view` is the name of the View it comes from, absent when the request brings it.

    Bounds are inclusive and in `unit`. `allowed` lists the values that the model was trained on; others are served as unknown
    unless `strict`. A tensor of numbers has a `shape`, and each of its elements the type and the bounds; it is nullable as a whole.

    The shape of a single value is left out of the file: bundles that were built before there were tensors keep their digest.
    """

    name: str
    type: ColumnType
    view: str | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    strict: bool = False
    unit: str | None = None
    classification: Classification = "internal"
    description: str = ""
    tensor: tuple[_Extent, ...] | msgspec.UnsetType = msgspec.field(name="shape", default=msgspec.UNSET)

    def __post_init__(self) -> None:
        if self.shape and self.type == "text":
            raise ValueError(f"{self.name} is a tensor of texts; a tensor holds numbers")

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents of a tensor; of a single value there are none."""
        return () if isinstance(self.tensor, msgspec.UnsetType) else self.tensor

    @property
    def size(self) -> int:
        """How many numbers it is."""
        return prod(self.shape)


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A feature view as the online store knows it: `name` is `<team>/<view>@<version>`.

    `keys` are the request columns that address a row, `columns` the numeric values in the order in which they are packed;
    values whose event time is older than `time_to_live` seconds are served marked as stale. `degradable` are those of the columns
    whose value the view may have replaced; the answer says which were. `personal` are those of the keys that name a person.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    time_to_live: float
    degradable: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()

    @property
    def packed(self) -> tuple[str, ...]:
        """What a packed row holds, in order: the columns, then for each degradable one whether it was replaced (1) or not (0)."""
        return (*self.columns, *(f"degraded:{name}" for name in self.degradable))


class ServingContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Columns in the order of the model's inputs (per type), views, the name of the output, and what is answered.

    `without_store` says what rows by key get while the online store cannot be read: `refuse` them, or answer by `default`, with
    every column of a view missing. A binary task and `refuse` are left out of the file: bundles that were built before there were
    others keep their digest.
    """

    model: str
    columns: tuple[Column, ...]
    views: tuple[View, ...] = ()
    output: str = "probability"
    format: str = FORMAT
    other_task: Multiclass | Regression | msgspec.UnsetType = msgspec.field(name="task", default=msgspec.UNSET)
    fallback: Literal["default"] | msgspec.UnsetType = msgspec.field(name="without_store", default=msgspec.UNSET)

    @property
    def without_store(self) -> WithoutStore:
        """What rows by key get while the online store cannot be read."""
        return "refuse" if isinstance(self.fallback, msgspec.UnsetType) else self.fallback

    @property
    def task(self) -> Task:
        """What the model answers."""
        return BINARY if isinstance(self.other_task, msgspec.UnsetType) else self.other_task

    @property
    def numeric(self) -> tuple[Column, ...]:
        """Columns of the ONNX input `numeric`, in order."""
        return tuple(column for column in self.columns if column.type != "text")

    @property
    def places(self) -> dict[str, slice]:
        """Where in the ONNX input `numeric` the numbers of each column lie."""
        ends = list(accumulate(column.size for column in self.numeric))
        return {column.name: slice(end - column.size, end) for column, end in zip(self.numeric, ends, strict=True)}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each column that is a tensor."""
        return {column.name: column.shape for column in self.columns if column.shape}

    @property
    def width(self) -> int:
        """How many numbers a row of the ONNX input `numeric` has."""
        return sum(column.size for column in self.numeric)

    @property
    def categorical(self) -> tuple[Column, ...]:
        """Columns of the ONNX input `categorical`, in order."""
        return tuple(column for column in self.columns if column.type == "text")

    @property
    def personal(self) -> frozenset[str]:
        """What is about a person, columns and keys: no log has it."""
        columns = {column.name for column in self.columns if column.classification == "personal"}
        return frozenset(columns.union(*(view.personal for view in self.views)))

    @property
    def request(self) -> tuple[Column, ...]:
        """Columns that a request by key must bring."""
        return tuple(column for column in self.columns if column.view is None)


def decode_contract(data: bytes) -> ServingContract:
    """The contract in `data`. Raises msgspec.ValidationError with the path of what does not fit."""
    return msgspec.json.decode(data, type=ServingContract)
