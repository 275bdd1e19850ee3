"""The serving contract: what a model's endpoint takes and gives, derived from the feature views and never written by hand.

It is a file of the bundle. A request names the request columns and the entity keys of the views; the endpoint fetches the rest from
the online store. Or it names the full feature row. Either way the columns reach the ONNX graph as two inputs, in contract order:
`numeric` float32 [rows, numeric columns] with NaN for missing, `categorical` string [rows, categorical columns].
"""

from typing import Literal

import msgspec

FORMAT = "roadbed/contract@1"

ColumnType = Literal["float", "int", "bool", "text"]
Classification = Literal["public", "internal", "personal"]


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One feature. `view` is the name of the View it comes from, absent when the request brings it.

    Bounds are inclusive and in `unit`. `allowed` lists the values that the model was trained on; others are served as unknown
    unless `strict`.
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


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A feature view as the online store knows it: `name` is `<team>/<view>@<version>`.

    `keys` are the request columns that address a row, `columns` the numeric values in the order in which they are packed;
    values whose event time is older than `time_to_live` seconds are served marked as stale. `degradable` are those of the columns
    whose value the view may have replaced; the answer says which were.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    time_to_live: float
    degradable: tuple[str, ...] = ()

    @property
    def packed(self) -> tuple[str, ...]:
        """What a packed row holds, in order: the columns, then for each degradable one whether it was replaced (1) or not (0)."""
        return (*self.columns, *(f"degraded:{name}" for name in self.degradable))


class ServingContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Columns in the order of the model's inputs (per type), views, and the name of the output."""

    model: str
    columns: tuple[Column, ...]
    views: tuple[View, ...] = ()
    output: str = "probability"
    format: str = FORMAT

    @property
    def numeric(self) -> tuple[Column, ...]:
        """Columns of the ONNX input `numeric`, in order."""
        return tuple(column for column in self.columns if column.type != "text")

    @property
    def categorical(self) -> tuple[Column, ...]:
        """Columns of the ONNX input `categorical`, in order."""
        return tuple(column for column in self.columns if column.type == "text")

    @property
    def request(self) -> tuple[Column, ...]:
        """Columns that a request by key must bring."""
        return tuple(column for column in self.columns if column.view is None)


def decode_contract(data: bytes) -> ServingContract:
    """The contract in `data`. Raises msgspec.ValidationError with the path of what does not fit."""
    return msgspec.json.decode(data, type=ServingContract)
