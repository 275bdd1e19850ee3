"""Networks that the platform ships: something to begin with, and to hold one's own against."""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from formats.task import Multiclass, Regression
from platform_assets.training.spec import TrainingData

if TYPE_CHECKING:
    import torch

# Standard deviations beyond which a number counts no more.
_LIMIT: Final = 8.0
# A rate is never taken for certain.
_LEAST: Final = 1e-6


def linear_network(training: TrainingData) -> "torch.nn.Module":
    """Logistic regression, as a `build` of TorchTrainer: a weight for each standardised number, for its absence, and for each text.

    Of several classes it has such weights for each, and of numbers it is linear regression. Means and deviations are those of the
    training part. It begins at the label's rate, the classes' rates, or the mean.
    """
    import torch

    numbers = training.numbers().astype(np.float64)
    there = ~np.isnan(numbers)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, numbers, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(there, numbers - mean, 0.0) ** 2).sum(axis=0) / count)
    start, outputs = _start(training), training.outputs

    class Linear(torch.nn.Module):
        """`numeric` float32 [N, F] and indices int64 [N, C] -> logits or values float32 [N], of K classes [N, K]."""

        mean: torch.Tensor
        scale: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
            scale = 1 / np.where(deviation > 0, deviation, 1.0)
            self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
            self.numbers = torch.nn.Linear(2 * training.width, outputs)
            self.texts = torch.nn.ModuleList([torch.nn.Embedding(size, outputs) for size in training.sizes])
            for weights in self.parameters():
                torch.nn.init.zeros_(weights)
            self.numbers.bias.data.copy_(torch.from_numpy(start))

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            missing = torch.isnan(numeric)
            scaled = ((numeric - self.mean) * self.scale).clamp(-_LIMIT, _LIMIT)
            known = torch.where(missing, 0.0, scaled)
            logits: torch.Tensor = self.numbers(torch.cat([known, missing.to(known.dtype)], dim=1))
            for column, texts in enumerate(self.texts):
                logits = logits + texts(indices[:, column])
            return logits[:, 0] if outputs == 1 else logits

    return Linear()


def _start(training: TrainingData) -> NDArray[np.float32]:
    """What is answered before anything is learnt, as logits or a value, float32 [outputs]."""
    label = training.label.astype(np.float64)
    if isinstance(training.task, Regression):
        return np.array([label.mean()], np.float32)
    if isinstance(training.task, Multiclass):
        rates = np.bincount(label.astype(np.int64), minlength=training.outputs) / len(label)
        return np.log(np.clip(rates, _LEAST, 1.0)).astype(np.float32)
    rate = np.clip(label.mean(), _LEAST, 1 - _LEAST)
    return np.array([np.log(rate / (1 - rate))], np.float32)
