"""Trainings that cost nothing, for searches: what a trial is worth follows from its settings alone."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from formats.errors import TrainingError
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.spec import Epoch, TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.objective import Fold
from platform_assets.tuning.spec import OneOf, Real, Search
from resources.experiment_run import ExperimentRun, Parameter

# A file of this name in the folder `place` says at how large an `x` a training kills its process, and is gone then.
ONCE, ALWAYS = "kill-once", "kill-always"
# One that says that a training never ends; each leaves a file with its process.
HANG = "hang"
SPACE = {"config.x": Real(0.0, 6.0), "config.kind": OneOf(("plain", "odd"))}


def bowl(training: TrainingData, _validation: TrainingData, config: Mapping[str, Any], _seed: int) -> TrainedModel:
    """The loss is least at x = 4; x above 5 cannot be learnt with, and above 5.5 the framework itself complains."""
    kill_if_told(Path(str(config["place"])), config["x"])
    if config["x"] > 5.5:
        raise ValueError("P-1003 is no number")
    if config["x"] > 5:
        raise TrainingError("training-diverged", f"x is {config['x']}", "take less")
    loss = (config["x"] - 4.0) ** 2 + (0.5 if config["kind"] == "odd" else 0.0) + 1.0 / training.features.height
    return TrainedModel(
        b"", lambda _: training.label, {}, {}, {"validation_loss": loss, "validation_auc": 1 / (1 + loss)}
    )


def kill_if_told(place: Path, x: float) -> None:
    if (place / HANG).exists():
        (place / f"{os.getpid()}.pid").touch()
        time.sleep(600)
    for name in (ONCE, ALWAYS):
        order = place / name
        with suppress(FileNotFoundError):  # another process was told first
            if x >= float(order.read_text()):
                if name == ONCE:
                    order.unlink()
                os.kill(os.getpid(), signal.SIGKILL)


def trainer(place: Path, x: float = 1.0) -> FunctionTrainer:
    return FunctionTrainer(bowl, {"x": x, "kind": "plain", "place": str(place)})


@dataclass(frozen=True)
class Slope(Trainer):
    """`rounds` rounds, each a little better than the one before; what it comes to follows from `height`."""

    kind: ClassVar[str] = "slope"

    height: float = 1.0
    rounds: int = 10
    seed: int = 0
    threads: int = 1

    @property
    def code(self) -> tuple[str, ...]:
        return (__name__,)

    @property
    def steps(self) -> int:
        return self.rounds

    def fit(
        self,
        training: TrainingData,
        validation: TrainingData,
        on_epoch: Epoch | None = None,
        everything: TrainingData | None = None,
    ) -> TrainedModel:
        raise NotImplementedError

    def measure(
        self,
        training: TrainingData,  # noqa: ARG002 as every trainer
        validation: TrainingData,  # noqa: ARG002
        on_epoch: Epoch | None = None,
    ) -> Mapping[str, float]:
        for number in range(self.rounds):
            measures = {"validation_loss": self.height + 1.0 / (number + 1)}
            if on_epoch is not None:
                on_epoch(number, measures)
        return measures


def folds(count: int = 2, rows: int = 60) -> list[Fold]:
    """Folds of unlike sizes, of a column and a label that follows from it."""
    found = []
    for number in range(count):
        frame = pl.DataFrame({"wind": [float(row % 7) for row in range(rows + number)]})
        data = TrainingData.of(frame.with_columns(late=pl.col("wind") > 3), "late", ("wind",), {})
        found.append((data, data))
    return found


def search(**changes: Any) -> Search:
    return Search(SPACE, **{"trials": 12, **changes})


@dataclass
class Child:
    """A nested run, as it was told and as it ended."""

    name: str
    settings: dict[str, Parameter]
    tags: dict[str, str]
    id: str
    status: str = "RUNNING"
    state: str = ""
    steps: list[dict[str, float]] = field(default_factory=list)
    value: float | None = None

    def tag(self, name: str, value: str) -> None:
        assert name == "state"
        self.state = value

    def history(self, rows: list[Mapping[str, float]]) -> None:
        self.steps += [dict(row) for row in rows]

    def metrics(self, values: Mapping[str, float]) -> None:
        self.value = values["value"]


class Runs(ExperimentRun):
    """An MLflow run that is no more than a list of its nested ones."""

    def __init__(self) -> None:
        self.id = "search"
        self.children: list[Child] = []

    @contextmanager
    def child(  # type: ignore[override]
        self, name: str, parameters: Mapping[str, Parameter], tags: Mapping[str, str]
    ) -> Iterator[Child]:
        child = Child(name, dict(parameters), dict(tags), f"run-{len(self.children)}")
        self.children.append(child)
        try:
            yield child
            child.status = "FINISHED"
        except Exception:
            child.status = "FAILED"
            raise
        except BaseException:
            child.status = "KILLED"
            raise
