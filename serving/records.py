"""Answered rows as records of the prediction log. Columns and keys classified as personal are masked with null."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np

from formats.contract import ServingContract
from formats.prediction_log import PredictionRecord, encode_record
from serving.answers import AnyPrediction, answer_form
from serving.requests import Batch, Row, RowForm

# Up to here looking at each value is cheaper than asking numpy first.
_FEW = 16


class LogPlan:
    """How the rows of one form are recorded: `request` gives what was asked, `features` what the model saw.

    Both are structs that encode as the maps of the format. A decoded row is such a struct itself, which costs a record nothing.
    """

    def __init__(self, contract: ServingContract, form: RowForm | None) -> None:
        personal = contract.personal
        columns = (*contract.numeric, *contract.categorical)
        seen = [column.name for column in columns]
        self._tensors = [(place, column.shape) for place, column in enumerate(columns) if column.shape]
        self.request = _request(form, personal)
        self.answers = answer_form(contract.task)
        self.features = _maker("Features", seen)
        self._masked = [index for index, name in enumerate(seen) if name in personal]

    def values(self, batch: Batch) -> list[list[Any]]:
        """What the model saw of each row, missing numbers and masked values as null."""
        numeric: list[list[Any]] = batch.numeric.tolist()
        if len(numeric) <= _FEW or np.isnan(batch.numeric).any():
            numeric = [[None if value != value else value for value in row] for row in numeric]  # noqa: PLR0124 - NaN alone; isnan would be a call a value
        rows = [numbers + texts for numbers, texts in zip(numeric, batch.categorical.tolist(), strict=True)]
        for place, shape in self._tensors:
            for row in rows:
                row[place : place + prod(shape)] = [_nested(row[place : place + prod(shape)], shape)]
        for index in self._masked:
            for row in rows:
                row[index] = None
        return rows


class Occasion(NamedTuple):
    """What the records of one request have in common."""

    endpoint: str
    asked_at: datetime


def records(occasion: Occasion, plan: LogPlan, batch: Batch, answered: Sequence[AnyPrediction]) -> list[bytes]:
    """One framed record a row."""
    served_at = datetime.now(UTC)
    return [
        encode_record(
            PredictionRecord(
                prediction=prediction.prediction,
                endpoint=occasion.endpoint,
                release=prediction.release,
                bundle=prediction.bundle,
                asked_at=occasion.asked_at,
                served_at=served_at,
                request=plan.request(row),
                features=plan.features(*values),
                **{plan.answers.logged: plan.answers.record(prediction)},
                stale=prediction.stale,
                missing=prediction.missing,
                degraded=prediction.degraded,
            )
        )
        for prediction, row, values in zip(answered, batch.rows, plan.values(batch), strict=True)
    ]


def _nested(values: list[Any], shape: tuple[int, ...]) -> list[Any] | None:
    """The numbers of one tensor as lists in lists; None where it is missing."""
    if values[0] is None:
        return None
    for extent in shape[:0:-1]:
        values = [values[start : start + extent] for start in range(0, len(values), extent)]
    return values


def _request(form: RowForm | None, personal: frozenset[str]) -> Callable[[Row], Any]:
    if form is None:
        return lambda _: {}
    masked = personal.intersection(form.fields)
    if not masked:
        return lambda row: row
    kept = [name for name in form.fields if name not in masked]
    read, make, nothing = form.getter(kept), _maker("Request", [*kept, *masked]), (None,) * len(masked)
    return lambda row: make(*read(row), *nothing)


def _maker(name: str, columns: Sequence[str]) -> Callable[..., Any]:
    attributes = [f"c{index}" for index in range(len(columns))]
    rename = dict(zip(attributes, columns, strict=True))
    return msgspec.defstruct(name, [(attribute, Any) for attribute in attributes], rename=rename, gc=False)
