"""What a torch module learns to answer, by task: its loss, what its output becomes in the graph, and how it is measured."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from formats.task import Task, TaskKind, kind_of
from platform_assets.training import metrics
from platform_assets.training.measures import MEASURES

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]


class Objective(NamedTuple):
    """`loss(output, label, weight)` is the mean loss of a batch, `answer(output)` what the graph gives.

    `measure(label, answer)` are figures of the validation part: the loss first, then what people know the task by.
    """

    loss: "Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]"
    answer: "Callable[[torch.Tensor], torch.Tensor]"
    measure: Callable[[Floats, Floats], Mapping[str, float]]


def objective_of(task: Task) -> Objective:
    """How a module is trained for `task`."""
    return _OBJECTIVES[kind_of(task)]


def _binary_loss(output: "torch.Tensor", label: "torch.Tensor", weight: "torch.Tensor | None") -> "torch.Tensor":
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(output, label, weight)


def _class_loss(output: "torch.Tensor", label: "torch.Tensor", weight: "torch.Tensor | None") -> "torch.Tensor":
    import torch

    return _weighted(torch.nn.functional.cross_entropy(output, label.long(), reduction="none"), weight)


def _squared_loss(output: "torch.Tensor", label: "torch.Tensor", weight: "torch.Tensor | None") -> "torch.Tensor":
    return _weighted((output - label) ** 2, weight)


def _weighted(losses: "torch.Tensor", weight: "torch.Tensor | None") -> "torch.Tensor":
    return losses.mean() if weight is None else (losses * weight).mean()


def _sigmoid(output: "torch.Tensor") -> "torch.Tensor":
    return output.sigmoid()


def _softmax(output: "torch.Tensor") -> "torch.Tensor":
    return output.softmax(dim=1)


def _itself(output: "torch.Tensor") -> "torch.Tensor":
    return output


def _binary_measure(label: Floats, answer: Floats) -> Mapping[str, float]:
    return {
        "validation_loss": metrics.log_loss(label, answer),
        "validation_auc": metrics.roc_auc(label, answer),
    }


def _class_measure(label: Floats, answer: Floats) -> Mapping[str, float]:
    return _measured("multiclass", label, answer, loss="log_loss", known="accuracy")


def _value_measure(label: Floats, answer: Floats) -> Mapping[str, float]:
    found = _measured("regression", label, answer, loss="rmse", known="mae")
    return {**found, "validation_loss": found["validation_loss"] ** 2}


def _measured(kind: TaskKind, label: Floats, answer: Floats, *, loss: str, known: str) -> dict[str, float]:
    wide = label.astype(np.float64), answer.astype(np.float64)
    return {"validation_loss": MEASURES[kind][loss].of(*wide), f"validation_{known}": MEASURES[kind][known].of(*wide)}


_OBJECTIVES: Mapping[TaskKind, Objective] = {
    "binary": Objective(_binary_loss, _sigmoid, _binary_measure),
    "multiclass": Objective(_class_loss, _softmax, _class_measure),
    "regression": Objective(_squared_loss, _itself, _value_measure),
}
