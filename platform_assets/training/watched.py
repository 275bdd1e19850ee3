"""What a boosting framework is told of a task, and what it watches while it learns, under the platform's names."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

Figure = Callable[[float], float]


def same(value: float) -> float:
    """The figure as the framework has it."""
    return value


def squared(value: float) -> float:
    """A root mean square as the mean square that the platform calls the loss of numbers."""
    return value**2


def hit_rate(misses: float) -> float:
    """A rate of errors as an accuracy."""
    return 1 - misses


class Watched(NamedTuple):
    """`objective` is what the framework learns; `loss` and `known` are its names of two metrics.

    Training stops by the first. The second is what people know the task by, `name` here; `as_loss` and `as_known` bring the
    framework's figures to the platform's (training/objectives.py).
    """

    objective: str
    loss: str
    known: str
    name: str
    as_loss: Figure = same
    as_known: Figure = same

    def measures(self, training: Mapping[str, float], validation: Mapping[str, float]) -> dict[str, float]:
        """A round's figures of both parts, by the framework's names, as the curves have them."""
        return {
            "training_loss": float(self.as_loss(training[self.loss])),
            "validation_loss": float(self.as_loss(validation[self.loss])),
            f"validation_{self.name}": float(self.as_known(validation[self.known])),
        }
