"""Examples as a matrix of numbers, for frameworks that take one: transformed numbers first, then the index of each text.

Transformations are the torch modules that also stand in the graph, so the two agree; without any, torch is not needed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from formats.task import BINARY, Task
from platform_assets.training.spec import Floats, TrainingData
from platform_assets.training.transforms import Transform, fit_transforms, one_after_the_other

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Examples:
    """`numbers` float32 [N, D], NaN for missing; `label` and `weight` [N]; `texts` are the columns of indices, 0 for unknown.

    `task` is what is to be answered.
    """

    numbers: Floats
    label: Floats
    weight: Floats | None
    texts: tuple[int, ...]
    task: Task = BINARY


@dataclass(frozen=True)
class Preparation:
    """What was fitted on `data` and makes the matrix; `names` are those of its D columns.

    `numbers` makes the numbers of the matrix from `numeric` float32 [N, F] and indices int64 [N, C]; None leaves them as they are.
    """

    data: TrainingData
    numbers: "torch.nn.Module | None"
    names: tuple[str, ...]

    @classmethod
    def of(cls, transforms: tuple[Transform, ...], data: TrainingData) -> "Preparation":
        """Fit `transforms` on `data`."""
        if not transforms:
            return cls(data, None, (*data.numbers_by_name, *data.categorical))
        prepared, steps = fit_transforms(transforms, data)
        return cls(data, one_after_the_other(steps), (*prepared.numeric, *data.categorical))

    @property
    def texts(self) -> tuple[int, ...]:
        """The columns that hold indices of texts."""
        return tuple(range(len(self.names) - len(self.data.categorical), len(self.names)))

    def matrix(self, frame: pl.DataFrame) -> Floats:
        """The rows of `frame`, float32 [N, D]."""
        numbers, indices = self.data.numbers(frame), self.data.indices(frame)
        if self.numbers is not None:
            import torch

            with torch.no_grad():
                numbers = self.numbers(torch.from_numpy(numbers), torch.from_numpy(indices)).numpy()
        return np.concatenate([numbers, indices.astype(np.float32)], axis=1)

    def examples(self, part: TrainingData) -> Examples:
        """The examples of `part`, in its order."""
        return Examples(self.matrix(part.features), part.label, part.weight, self.texts, part.task)
