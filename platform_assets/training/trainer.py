"""What every kind of trainer is to the platform: a declaration that turns examples into a model, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from platform_assets.training.spec import Epoch, TrainedModel, TrainingData


class Trainer(ABC):
    """A kind of training with its settings: a frozen dataclass, whose fields are what the fingerprint holds of it.

    `kind` is what the graph shows. `seed` decides every random draw; `threads` is a field because the bytes of a result
    depend on it. A field that is a number, a text, a yes or no, or a mapping of those, can be changed for one run in
    Dagster's launchpad.
    """

    kind: ClassVar[str]
    seed: int
    threads: int

    @property
    @abstractmethod
    def code(self) -> tuple[str, ...]:
        """The modules whose code decides what comes out, beside that of the packages."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """How often `on_epoch` is called at most."""

    @abstractmethod
    def fit(
        self,
        training: "TrainingData",
        validation: "TrainingData",
        on_epoch: "Epoch | None" = None,
        everything: "TrainingData | None" = None,
    ) -> "TrainedModel":
        """Train on `training`, stop by `validation`, and export; the result depends on the arguments alone.

        `on_epoch(epoch, measures)` is called after each epoch or boosting round, from 0. `everything` is what a refit learns from:
        both parts, one after the other, if nothing else is given.

        Raises:
            TrainingError: the examples cannot be learnt from, or the loss stopped being a number.
        """

    @abstractmethod
    def measure(
        self, training: "TrainingData", validation: "TrainingData", on_epoch: "Epoch | None" = None
    ) -> Mapping[str, float]:
        """Train on `training`, and return the measures on `validation` of what would be kept; nothing is exported.

        `on_epoch` is called as by `fit`; what it raises ends the training, and comes out.
        """
