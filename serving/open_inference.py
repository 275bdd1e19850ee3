"""The Open Inference Protocol, version 2, as JSON: tensors `numeric` and `categorical` in, the answer to each row out.

Tensors are full feature rows in contract order; they are held against the same contract as named rows. A column that is a tensor
itself is a run of the numbers of its row.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from formats.contract import Column, ServingContract
from formats.task import Multiclass, Task, width_of
from serving.batching import Answer
from serving.columns import bounds
from serving.refusals import FieldError, invalid_request
from serving.requests import MAX_ROWS, Batch, Categorical, Numeric

CLASS = "class"

_NUMBERS = frozenset({"FP32", "FP64", "FP16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "BOOL"})


class Tensor(msgspec.Struct, frozen=True):
    """One input; `data` is flat or nested by rows."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, frozen=True):
    """The body of an inference."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[dict[str, Any]] = []


_decode = msgspec.json.Decoder(InferRequest).decode


def decode_infer(body: bytes, contract: ServingContract) -> tuple[str | None, Batch]:
    """The request's id and its rows. Raises Refusal with what breaks the protocol or the contract."""
    try:
        request = _decode(body)
    except msgspec.ValidationError as error:
        raise invalid_request([FieldError("$", str(error))]) from error
    except (ValueError, RecursionError) as error:
        raise invalid_request([FieldError("$", f"not JSON: {error}")], status=400) from error
    tensors = {tensor.name: tensor for tensor in request.inputs}
    wanted = _wanted(contract)
    if set(tensors) != set(wanted) or len(tensors) != len(request.inputs):
        raise invalid_request([FieldError("$.inputs", f"expected the tensors {sorted(wanted)}, got {sorted(tensors)}")])
    rows = _row_count(tensors, wanted)
    numeric = _numeric(tensors, contract, rows)
    categorical = _categorical(tensors, contract.categorical, rows)
    return request.id, Batch(None, [None] * rows, single=False, numeric=numeric, categorical=categorical)


def infer_response(
    contract: ServingContract, bundle: str, request_id: str | None, ids: Sequence[str], answer: Answer
) -> bytes:
    """The body of the answer: what the task answers, and the rows' ids in the prediction log.

    Of several classes these are the likeliest class and, as the protocol has it, all probabilities in one flat list.
    """
    rows = [len(ids)]
    body: dict[str, object] = {
        "model_name": contract.model,
        "model_version": bundle,
        "outputs": [
            {"name": contract.output, "datatype": "FP32", "shape": list(answer.shape), "data": answer.ravel().tolist()},
            *_classes(contract.task, answer),
            {"name": "prediction", "datatype": "BYTES", "shape": rows, "data": ids},
        ],
    }
    return msgspec.json.encode(body if request_id is None else {"id": request_id, **body})


def model_metadata(contract: ServingContract, bundle: str) -> dict[str, object]:
    """What the protocol tells about a model."""
    types = {"numeric": "FP32", "categorical": "BYTES"}
    width = width_of(contract.task)
    return {
        "name": contract.model,
        "versions": [bundle],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": name, "datatype": types[name], "shape": [-1, width]} for name, width in _wanted(contract).items()
        ],
        "outputs": [
            {"name": contract.output, "datatype": "FP32", "shape": [-1, *([] if width is None else [width])]},
            *([] if width is None else [{"name": CLASS, "datatype": "BYTES", "shape": [-1]}]),
            {"name": "prediction", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def _classes(task: Task, answer: Answer) -> list[dict[str, object]]:
    if not isinstance(task, Multiclass):
        return []
    named = [task.classes[place] for place in answer.argmax(axis=1).tolist()]
    return [{"name": CLASS, "datatype": "BYTES", "shape": [len(named)], "data": named}]


def _wanted(contract: ServingContract) -> dict[str, int]:
    """How wide the tensors are that the contract takes, by name."""
    both = {"numeric": contract.width, "categorical": len(contract.categorical)}
    return {name: width for name, width in both.items() if width}


def _row_count(tensors: dict[str, Tensor], wanted: dict[str, int]) -> int:
    counts = set()
    for name, width in wanted.items():
        shape = tensors[name].shape
        if len(shape) != 2 or shape[1] != width or not 1 <= shape[0] <= MAX_ROWS:
            rule = f"expected [1 to {MAX_ROWS}, {width}], got {list(shape)}"
            raise invalid_request([FieldError(f"$.inputs.{name}.shape", rule)])
        counts.add(shape[0])
    if len(counts) != 1:
        raise invalid_request([FieldError("$.inputs", f"the tensors have different numbers of rows: {sorted(counts)}")])
    return counts.pop()


def _flat(tensor: Tensor, rows: int, width: int) -> list[Any]:
    nested = bool(tensor.data) and isinstance(tensor.data[0], list)
    lines = tensor.data if nested else [tensor.data]
    values = [value for line in lines if isinstance(line, list) for value in line]
    if len(values) != rows * width or (nested and len(lines) != rows):
        rule = f"expected {rows * width} values, got {len(values)}"
        raise invalid_request([FieldError(f"$.inputs.{tensor.name}.data", rule)])
    return values


def _numeric(tensors: dict[str, Tensor], contract: ServingContract, rows: int) -> Numeric:
    width = contract.width
    if not width:
        return np.empty((rows, 0), dtype=np.float32)
    tensor = tensors["numeric"]
    if tensor.datatype not in _NUMBERS:
        raise invalid_request([FieldError("$.inputs.numeric.datatype", f"expected FP32, got {tensor.datatype[:20]}")])
    values = _flat(tensor, rows, width)
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise invalid_request([FieldError("$.inputs.numeric.data", "expected numbers, or null for missing")])
    try:
        matrix = np.array(values, dtype=np.float64).reshape(rows, width)
    except OverflowError as error:
        raise invalid_request([FieldError("$.inputs.numeric.data", "a number is too large")]) from error
    _refuse(islice(_numeric_errors(matrix, contract), 100))
    return matrix.astype(np.float32)


def _numeric_errors(matrix: NDArray[np.float64], contract: ServingContract) -> Iterator[FieldError]:
    places = contract.places
    for column in contract.numeric:
        place = places[column.name]
        low, high = bounds(column)
        or_null = ", or null" + (" throughout" if column.shape else "") if column.nullable else ""
        rule = f"`{column.name}` takes {column.type} from {low:g} to {high:g}{or_null}"
        for row, index in np.argwhere(_wrong(matrix[:, place], column)):
            yield FieldError(f"$.inputs.numeric.data[{row}][{place.start + index}]", rule)


def _wrong(values: NDArray[np.float64], column: Column) -> NDArray[np.bool_]:
    """Which numbers of `column`, [rows, size], break it."""
    absent = np.isnan(values)
    low, high = bounds(column)
    wrong: NDArray[np.bool_] = ~absent & ~((values >= low) & (values <= high))
    if column.type in ("int", "bool"):
        wrong |= ~absent & (values != np.floor(values))
    # A tensor is there or missing as a whole.
    return wrong | (absent & ~absent.all(axis=1, keepdims=True) if column.nullable else absent)


def _categorical(tensors: dict[str, Tensor], columns: Sequence[Column], rows: int) -> Categorical:
    matrix = np.full((rows, len(columns)), "", dtype=object)
    if not columns:
        return matrix
    tensor = tensors["categorical"]
    if tensor.datatype != "BYTES":
        raise invalid_request(
            [FieldError("$.inputs.categorical.datatype", f"expected BYTES, got {tensor.datatype[:20]}")]
        )
    values = _flat(tensor, rows, len(columns))
    _refuse(islice(_text_errors(values, columns), 100))
    matrix[:, :] = np.array(["" if value is None else value for value in values], dtype=object).reshape(matrix.shape)
    return matrix


def _text_errors(values: Sequence[Any], columns: Sequence[Column]) -> Iterator[FieldError]:
    for position, value in enumerate(values):
        row, index = divmod(position, len(columns))
        column = columns[index]
        if value is None and column.nullable:
            continue
        strict = column.strict and column.allowed is not None and value not in column.allowed
        if not isinstance(value, str) or strict:
            yield FieldError(f"$.inputs.categorical.data[{row}][{index}]", f"not a value of `{column.name}`")


def _refuse(errors: Iterator[FieldError]) -> None:
    found = list(errors)
    if found:
        raise invalid_request(found)
