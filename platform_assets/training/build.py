"""A bundle's payload as a function of the declaration and the rows: what the model asset stores, and a reproduction makes again."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import polars as pl

from formats.canonical import Json, canonical_json
from formats.contract import ServingContract
from platform_assets.datasets.parts import Examples, examples
from platform_assets.datasets.spec import TrainingSet
from platform_assets.monitoring.profiles import profile_of
from platform_assets.tensors import Shape, elements
from platform_assets.training.folds import train_folds
from platform_assets.training.spec import Epoch, TrainedModel, vocabulary

if TYPE_CHECKING:
    from platform_assets.team import Model


class Material(NamedTuple):
    """All rows in the order in which they are learnt from, and the examples of each fold."""

    rows: pl.DataFrame
    folds: Sequence[Examples]

    @classmethod
    def of(cls, dataset: TrainingSet, frame: pl.DataFrame) -> "Material":
        """That of the rows of `frame`, in whatever order. Raises DataError if a part of a fold is empty."""
        # Rows of one instant have no order of their own, and a table's digest does not depend on any.
        ordered = frame.sort(dataset.spine.prediction_time, *dataset.key)
        return cls(ordered, examples(dataset, ordered))


class Built(NamedTuple):
    """A payload, and what was measured on the validation part of each fold."""

    payload: dict[str, bytes]
    trained: TrainedModel
    measures: tuple[Mapping[str, float], ...]


def build(model: "Model", contract: ServingContract, material: Material, on_epoch: Epoch | None = None) -> Built:
    """Train `model`, and make its bundle's payload. Raises TrainingError as `Trainer.fit`."""
    trained, measures = train_folds(model.trainer, contract, model.training_set.label.column, material.folds, on_epoch)
    return Built(_payload(contract, trained, material.rows), trained, measures)


def learned_contract(contract: ServingContract, frame: pl.DataFrame) -> ServingContract:
    """The contract with the values that the model saw, for text columns whose contract does not list them."""
    seen = vocabulary(frame, [column.name for column in contract.categorical])
    columns = tuple(
        msgspec.structs.replace(column, allowed=seen[column.name])
        if column.name in seen and not column.allowed
        else column
        for column in contract.columns
    )
    return msgspec.structs.replace(contract, columns=columns)


def _payload(contract: ServingContract, trained: TrainedModel, frame: pl.DataFrame) -> dict[str, bytes]:
    row = example_row(contract, frame)
    request = {name: _plain(value) for name, value in row.row(0, named=True).items()}
    answer = trained.predict(row)[0].astype(float).tolist()
    names = [column.name for column in contract.columns]
    return {
        "model.onnx": trained.onnx,
        "contract.json": canonical_json(msgspec.to_builtins(contract)),
        "profile.json": canonical_json(msgspec.to_builtins(profile_of(frame, names))),
        "example.json": canonical_json({"request": request, "answer": answer}),
    }


def example_row(contract: ServingContract, frame: pl.DataFrame) -> pl.DataFrame:
    """The first row, in the contract's columns, without what is personal of it: no erasure can change a bundle afterwards.

    In its place nothing stands, or where the request must have something, the middle of all rows.
    """
    row = frame.select(column.name for column in contract.columns).head(1)
    return row.with_columns(
        pl.lit(None if column.nullable else _middle(frame[column.name], column.shape), row.schema[column.name]).alias(
            column.name
        )
        for column in contract.columns
        if column.classification == "personal"
    )


def _middle(values: pl.Series, shape: Shape) -> Json:
    """The median, of a tensor that of all elements in each of its places."""
    if shape:
        middle = _middle(elements(values), ())
        for extent in reversed(shape):
            middle = [middle] * extent
        return middle
    median = values.drop_nulls().cast(pl.Float64).median()
    number = float(median) if isinstance(median, int | float) else 0.0
    return number if values.dtype.is_float() else round(number) > 0 if values.dtype == pl.Boolean else round(number)


def _plain(value: Json) -> Json:
    return None if isinstance(value, float) and math.isnan(value) else value
