"""The tiny world of promotion for other tasks: one number decides which of three classes, or which value."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper

from formats.contract import Column, ServingContract
from formats.task import Multiclass, Regression, output_of, width_of
from platform_assets.promotion.case import Champion, PromotionCase
from platform_assets.promotion.inference import Model
from tests.support import promotion_case as world

CLASSES = Multiclass(("calm", "fresh", "storm"))
VALUE = Regression()
OtherTask = Multiclass | Regression

# What the number is multiplied by for each class (then a bias), or for the value.
GOOD = (3.0, 0.0)
FAIR = (3.0, 0.7)
USELESS = (0.0, 0.0)


def contract(task: OtherTask) -> ServingContract:
    columns = (Column(name="wind", type="float", minimum=-50, maximum=50),)
    return ServingContract(model=world.MODEL, columns=columns, output=output_of(task), other_task=task)


def graph(task: OtherTask, weights: tuple[float, float], width: int | None = None) -> bytes:
    """Softmax over (-w wind, b, w wind), or w wind + b."""
    slope, bias = weights
    classes = isinstance(task, Multiclass)
    matrix = np.array([[-slope, 0.0, slope]] if classes else [[slope]], np.float32)
    constants = {"weights": matrix, "bias": np.array([0, bias, 0] if classes else [bias], np.float32)}
    nodes = [
        helper.make_node("MatMul", ["numeric", "weights"], ["linear"]),
        helper.make_node("Add", ["linear", "bias"], ["sum"]),
    ]
    out = output_of(task)
    if classes:
        nodes.append(helper.make_node("Softmax", ["sum"], [out], axis=1))
    else:
        constants["flat"] = np.array([-1], np.int64)
        nodes.append(helper.make_node("Reshape", ["sum", "flat"], [out]))
    shape = [None, width or width_of(task)] if classes else [None]
    inputs = [helper.make_tensor_value_info("numeric", TensorProto.FLOAT, [None, 1])]
    outputs = [helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "task", inputs, outputs, initializers)
    made = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(made.SerializeToString())


def rows(task: OtherTask, count: int, seed: int, *, late: bool) -> pl.DataFrame:
    """`count` rows before or after the cutoff, whose outcome follows GOOD with some noise."""
    start, end = (world.CUTOFF, world.UNTIL) if late else (world.CUTOFF.replace(month=1), world.CUTOFF)
    frame = world.rows(count, start, end, seed)
    random = np.random.default_rng(seed)
    wind = random.normal(0, 1, count)
    if isinstance(task, Multiclass):
        noisy = GOOD[0] * wind[:, None] * np.array([-1, 0, 1]) + random.gumbel(size=(count, 3))
        outcome = pl.Series([task.classes[place] for place in noisy.argmax(axis=1)])
    else:
        outcome = pl.Series(GOOD[0] * wind + random.normal(0, 0.5, count))
    return frame.with_columns(wind=pl.Series(wind), late=outcome)


def payload(task: OtherTask, weights: tuple[float, float]) -> dict[str, bytes]:
    return {"model.onnx": graph(task, weights), "contract.json": msgspec.json.encode(contract(task))}


def case(
    folder: Path,
    task: OtherTask,
    weights: tuple[float, float] = GOOD,
    champion: tuple[float, float] | None = None,
    **changes: Any,
) -> PromotionCase:
    """A case of this task, judged by 600 rows."""

    def load(chosen: tuple[float, float]) -> Model:
        return world.model(folder, **payload(task, chosen))

    opponent = None
    if champion is not None:
        opponent = Champion("sha256:live", f"sha256:{champion}", world.CUTOFF, lambda: load(champion))
    training = rows(task, 600, 1, late=False)
    return PromotionCase(
        world.candidate(**{"other_task": task, **changes}),
        load(weights),
        rows(task, 600, 2, late=True),
        lambda: training,
        opponent,
    )
