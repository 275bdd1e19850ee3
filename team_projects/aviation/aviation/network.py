"""The network that answers `departure_delay`: bins for numbers, embeddings for names, and a small perceptron.

A number enters as how far it fills each of its bins (0..1 each; piecewise linear, edges at the training part's quantiles) and
whether it is missing, so scales and outliers do not matter. Bin edges are buffers: they travel into the graph.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from platform_assets import TrainingData

if TYPE_CHECKING:
    import torch

BINS: Final = 12
HIDDEN: Final = (128, 64)
DROPOUT: Final = 0.2


@dataclass(frozen=True)
class Naming:
    """How a categorical column is embedded: `width` numbers times `scale`, hidden from training at the rate `hidden`.

    Hidden names teach the index of the unknown, which the training part never shows.
    """

    width: int
    scale: float
    hidden: float


COMMON: Final = Naming(width=16, scale=1.0, hidden=0.02)
# With a hundred examples a name, more than one slow number, seen half of the time, is learnt by heart.
RARE: Final = Naming(width=1, scale=0.15, hidden=0.5)
MANY_NAMES: Final = 1000


@dataclass(frozen=True)
class Schema:
    """What a network is built for: B bins of F numeric columns, and the sizes of C categorical ones (0 is unknown).

    `column` int64 [B] says which number a bin belongs to; `low` and `width` float32 [B] are in that number's unit.
    """

    numeric: int
    categories: tuple[int, ...]
    column: NDArray[np.int64]
    low: NDArray[np.float32]
    width: NDArray[np.float32]


def build(training: TrainingData) -> "torch.nn.Module":
    """Make the untrained network for the training part: `TorchTrainer.build`."""
    return build_network(fit_schema(training))


def fit_schema(training: TrainingData) -> Schema:
    """Place the bins at the quantiles of the training part; a number that never varies has none."""
    numbers = training.numbers()
    edges = [_edges(numbers[:, index]) for index in range(numbers.shape[1])]
    bins = [np.diff(edge) for edge in edges]
    return Schema(
        numeric=numbers.shape[1],
        categories=training.sizes,
        column=np.repeat(np.arange(len(bins)), [len(widths) for widths in bins]).astype(np.int64),
        low=np.concatenate([edge[:-1] for edge in edges]).astype(np.float32),
        width=np.concatenate(bins).astype(np.float32),
    )


def build_network(schema: Schema) -> "torch.nn.Module":
    """Make the untrained network: `numeric` float32 [N, F], indices int64 [N, C] -> logits float32 [N]."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.numbers = _numbers(schema)
            self.names = torch.nn.ModuleList([_names(size) for size in schema.categories])
            widths = [_naming(size).width for size in schema.categories]
            self.perceptron = _perceptron(len(schema.column) + schema.numeric + sum(widths))

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            names = [embed(indices[:, column]) for column, embed in enumerate(self.names)]
            logits: torch.Tensor = self.perceptron(torch.cat([self.numbers(numeric), *names], dim=1))
            return logits[:, 0]

    return Network()


def _numbers(schema: Schema) -> "torch.nn.Module":
    import torch

    class Numbers(torch.nn.Module):
        """Numbers [N, F] -> how far each bin is filled, and what is missing: [N, B + F]."""

        column: torch.Tensor
        low: torch.Tensor
        rate: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("column", torch.from_numpy(schema.column))
            self.register_buffer("low", torch.from_numpy(schema.low))
            self.register_buffer("rate", 1 / torch.from_numpy(schema.width))

        def forward(self, numeric: torch.Tensor) -> torch.Tensor:
            missing = torch.isnan(numeric)
            present = torch.where(missing, 0.0, numeric)
            filled = ((present[:, self.column] - self.low) * self.rate).clamp(0.0, 1.0)
            return torch.cat([torch.where(missing[:, self.column], 0.0, filled), missing.to(filled.dtype)], dim=1)

    return Numbers()


def _naming(size: int) -> Naming:
    return RARE if size > MANY_NAMES else COMMON


def _names(size: int) -> "torch.nn.Module":
    import torch

    naming = _naming(size)

    class Names(torch.nn.Module):
        """Indices [N] -> [N, width]."""

        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(size, naming.width)
            torch.nn.init.normal_(self.table.weight, std=0.1)

        def forward(self, indices: torch.Tensor) -> torch.Tensor:
            if self.training:
                indices = indices * (torch.rand(indices.shape) >= naming.hidden)
            embedded: torch.Tensor = self.table(indices) * naming.scale
            return embedded

    return Names()


def _perceptron(width: int) -> "torch.nn.Module":
    import torch

    layers: list[torch.nn.Module] = []
    for hidden in HIDDEN:
        layers += [torch.nn.Linear(width, hidden), torch.nn.ReLU(), torch.nn.Dropout(DROPOUT)]
        width = hidden
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))


def _edges(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distinct quantiles of what is there, float64 [at most BINS + 1]."""
    known = values[~np.isnan(values)].astype(np.float64)
    if len(known) == 0:
        return np.zeros(1)
    return np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)).astype(np.float32)).astype(np.float64)
