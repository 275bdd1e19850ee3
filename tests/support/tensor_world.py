"""A tiny model that takes a tensor: is the right column of a small image brighter than the left one, on a warm day?"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper

from formats.contract import Column, ServingContract
from formats.profile import ReferenceProfile
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.inference import Model
from tests.support import promotion_case as world

SHAPE = (2, 3)
IMAGE = Column(name="image", type="float", minimum=0, maximum=16, unit="level", tensor=SHAPE)
CONTRACT = ServingContract(
    model=world.MODEL,
    columns=(
        Column(name="warmth", type="float", minimum=-50, maximum=50),
        IMAGE,
        Column(name="maker", type="text", nullable=True),
        Column(name="hour", type="int", minimum=0, maximum=23),
    ),
)
# warmth, the image row by row, hour
WEIGHTS = np.array([0.1, -0.2, 0, 0.2, -0.2, 0, 0.2, 0], np.float32)
ROW: dict[str, Any] = {"warmth": 3.5, "image": [[0, 1, 2], [3, 4, 16]], "maker": "A", "hour": 7}
NUMBERS = [3.5, 0, 1, 2, 3, 4, 16, 7]


def graph(weights: Any = WEIGHTS) -> bytes:
    """sigmoid(numbers . weights), missing numbers as 0: probability [N]."""
    constants = {
        "weights": np.asarray(weights, np.float32).reshape(-1, 1),
        "zero": np.zeros(1, np.float32),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("IsNaN", ["numeric"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numeric"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["chance"]),
        helper.make_node("Reshape", ["chance", "flat"], ["probability"]),
    ]
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.FLOAT, [None, len(weights)]),
        helper.make_tensor_value_info("categorical", TensorProto.STRING, [None, 1]),
    ]
    outputs = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None])]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "bright", inputs, outputs, initializers)
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(made.SerializeToString())


def rows(count: int, seed: int, *, late: bool) -> pl.DataFrame:
    """`count` rows before or after the cutoff, as a table holds them, whose outcome follows WEIGHTS."""
    start, end = (world.CUTOFF, world.UNTIL) if late else (world.CUTOFF.replace(month=1), world.CUTOFF)
    random = np.random.default_rng(seed)
    numbers = np.column_stack(
        [random.normal(0, 5, count), random.uniform(0, 16, (count, 6)), random.integers(0, 24, count)]
    ).astype(np.float32)
    outcome = random.random(count) < 1 / (1 + np.exp(-numbers @ WEIGHTS))
    frame = world.rows(count, start, end, seed).select("flight", "asked_at")
    return frame.with_columns(
        warmth=pl.Series(numbers[:, 0]),
        image=pl.Series(numbers[:, 1:7].reshape(count, *SHAPE)).cast(pl.List(pl.List(pl.Float32))),
        maker=pl.lit("A"),
        hour=pl.Series(numbers[:, 7].astype(np.int64)),
        late=pl.Series(outcome.astype(np.int64)),
    )


def case(folder: Path, contract: ServingContract = CONTRACT, weights: Any = WEIGHTS, **changes: Any) -> PromotionCase:
    """A case judged by 400 rows; `changes` are columns of these."""
    files = {
        "model.onnx": graph(weights),
        "contract.json": msgspec.json.encode(contract),
        "profile.json": msgspec.json.encode(ReferenceProfile(rows=0, columns={})),
        "example.json": msgspec.json.encode({"request": ROW, "answer": 0.5}),
    }
    model: Model = world.model(folder, **files)
    training = rows(400, 1, late=False)
    return PromotionCase(world.candidate(), model, rows(400, 2, late=True).with_columns(**changes), lambda: training)
