"""The network that answers `digits`: three convolutions, then one weight a class for what is left of the image."""

from typing import TYPE_CHECKING, Final

from platform_assets import TrainingData
from vision.sources import LEVELS, SIDE

if TYPE_CHECKING:
    import torch

CHANNELS: Final = (24, 48, 96)
# The mean share of the levels, near enough.
CENTRE: Final = 0.3


def build(training: TrainingData) -> "torch.nn.Module":
    """Make the untrained network: `TorchTrainer.build`."""
    import torch
    from torch import nn

    first, second, third = CHANNELS
    left = SIDE // 4

    class Network(nn.Module):
        """`numeric` float32 [N, 64], an image row by row -> logits float32 [N, K]."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                *_convolution(1, first),
                *_convolution(first, second),
                nn.MaxPool2d(2),
                nn.Dropout(0.2),
                *_convolution(second, third),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Dropout(0.4),
            )
            self.classes = nn.Linear(third * left * left, training.outputs)

        def forward(self, numeric: torch.Tensor, _indices: torch.Tensor) -> torch.Tensor:
            ink = torch.where(torch.isnan(numeric), 0.0, numeric)  # an image that is missing is a blank one
            image = ink.reshape(-1, 1, SIDE, SIDE) / LEVELS - CENTRE
            logits: torch.Tensor = self.classes(self.body(image))
            return logits

    return Network()


def _convolution(given: int, made: int) -> list["torch.nn.Module"]:
    """Three by three, [N, `given`, H, W] -> [N, `made`, H, W]; the normalization has the bias."""
    from torch import nn

    return [nn.Conv2d(given, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU()]
