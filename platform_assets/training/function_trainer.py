"""A team's own way to train: a plain function of examples, settings and seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from formats.errors import DeclarationError
from platform_assets.training.ranges import require_ranges
from platform_assets.training.soundness import require_finite, require_learnable
from platform_assets.training.spec import Epoch, TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer

Setting = bool | int | float | str
TrainingFunction = Callable[[TrainingData, TrainingData, Mapping[str, Setting], int], TrainedModel]


@dataclass(frozen=True)
class FunctionTrainer(Trainer):
    """`function(training, validation, config, seed)` trains, and returns the model that is served with what it measured.

    The result must depend on the arguments alone. `config` are its settings by name. `training` is the sampled training
    part; a function that refits decides itself from what (`training.followed_by(validation)`).
    """

    kind: ClassVar[str] = "python"

    function: TrainingFunction
    config: Mapping[str, Setting] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        require_ranges(self, positive=("threads",))

    @property
    def code(self) -> tuple[str, ...]:
        """The function's module, and this one."""
        return self.function.__module__, __name__

    @property
    def steps(self) -> int:
        """The one time that it is called."""
        return 1

    def fit(
        self,
        training: TrainingData,
        validation: TrainingData,
        on_epoch: Epoch | None = None,
        everything: TrainingData | None = None,  # noqa: ARG002 the function decides what it learns from
    ) -> TrainedModel:
        """As every trainer; what the function measured is told once, when it returns."""
        trained = self._called(training, validation)
        if on_epoch is not None:
            on_epoch(0, trained.best)
        return trained

    def measure(
        self, training: TrainingData, validation: TrainingData, on_epoch: Epoch | None = None
    ) -> Mapping[str, float]:
        """As every trainer; what the function measured is told once, when it returns."""
        measures = self._called(training, validation).best
        if on_epoch is not None:
            on_epoch(0, measures)
        return measures

    def _called(self, training: TrainingData, validation: TrainingData) -> TrainedModel:
        require_learnable(training, validation)
        trained = self.function(training, validation, self.config, self.seed)
        if not isinstance(trained, TrainedModel):
            name = getattr(self.function, "__qualname__", str(self.function))
            raise DeclarationError(
                "declaration-invalid", f"{name} returned {type(trained).__name__}", "return a TrainedModel"
            )
        require_finite(0, trained.best)
        return trained
