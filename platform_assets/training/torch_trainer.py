"""The training loop of a torch model: a function of the declaration and the data, with no effect left behind."""

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from platform_assets.training.objectives import objective_of
from platform_assets.training.onnx_export import export_onnx
from platform_assets.training.soundness import require_finite, require_learnable
from platform_assets.training.spec import Epoch, Floats, TorchTrainer, TrainedModel, TrainingData
from platform_assets.training.transforms import behind, fit_transforms

if TYPE_CHECKING:
    import torch

SCORING_ROWS: Final = 8192
WARM_UP: Final = 0.1

Curves = dict[str, list[float]]


def fit_torch(
    trainer: TorchTrainer,
    training: TrainingData,
    validation: TrainingData,
    on_epoch: Epoch | None,
    everything: TrainingData | None = None,
) -> TrainedModel:
    """Build, train with early stopping, and export. See `TorchTrainer`."""
    require_learnable(training, validation)
    with _reproducible(trainer.seed, trainer.threads):
        module, inputs = _built(trainer, training)
        curves = _train(trainer, module, training, validation, on_epoch)
        if trainer.refit:
            examples = training.followed_by(validation) if everything is None else everything
            module, inputs = _refitted(trainer, examples, _best_epoch(curves) + 1)
        onnx = export_onnx(module, training.width, list(training.categorical.values()), training.task)

    def predict(frame: pl.DataFrame) -> Floats:
        return _score(module, training, frame)

    parameters = _parameters(trainer, training, validation, curves)
    return TrainedModel(onnx, predict, curves, parameters, _best(curves), inputs)


def measure_torch(
    trainer: TorchTrainer, training: TrainingData, validation: TrainingData, on_epoch: Epoch | None = None
) -> dict[str, float]:
    """Build, train with early stopping, and return what was measured at the best epoch. See `TorchTrainer`."""
    require_learnable(training, validation)
    with _reproducible(trainer.seed, trainer.threads):
        return _best(_train(trainer, _built(trainer, training)[0], training, validation, on_epoch))


def _built(trainer: TorchTrainer, examples: TrainingData) -> tuple["torch.nn.Module", tuple[str, ...]]:
    """The untrained module behind the transformations, fitted on `examples`, and the names of the numbers that reach it."""
    if not trainer.transforms:
        return trainer.build(examples), examples.numbers_by_name
    prepared, steps = fit_transforms(trainer.transforms, examples)
    return behind(steps, trainer.build(prepared)), prepared.numeric


def _train(
    trainer: TorchTrainer,
    module: "torch.nn.Module",
    training: TrainingData,
    validation: TrainingData,
    on_epoch: Epoch | None,
) -> Curves:
    """Run the epochs, leave the best one's weights in `module`, and return what was measured."""
    curves: Curves = {}
    best = copy.deepcopy(module.state_dict())
    for epoch, loss in enumerate(_epochs(trainer, module, training)):
        measures = {"training_loss": loss, **_measure(module, validation)}
        require_finite(epoch, measures)
        for name, value in measures.items():
            curves.setdefault(name, []).append(value)
        if on_epoch is not None:
            on_epoch(epoch, measures)
        if _best_epoch(curves) == epoch:
            best = copy.deepcopy(module.state_dict())
        elif epoch - _best_epoch(curves) >= trainer.patience:
            break
    module.load_state_dict(best)
    module.eval()
    return curves


def _refitted(
    trainer: TorchTrainer, everything: TrainingData, epochs: int
) -> tuple["torch.nn.Module", tuple[str, ...]]:
    """Train a new module on all examples, for as many epochs as were best."""
    import torch

    torch.manual_seed(trainer.seed)
    module, inputs = _built(trainer, everything)
    deque(_epochs(replace(trainer, epochs=epochs), module, everything), maxlen=0)
    return module.eval(), inputs


def _epochs(trainer: TorchTrainer, module: "torch.nn.Module", training: TrainingData) -> Iterator[float]:
    """Train one epoch at a time; yield its mean loss."""
    import torch

    objective = objective_of(training.task)

    inputs = torch.from_numpy(training.numbers()), torch.from_numpy(training.indices())
    label = torch.from_numpy(training.label)
    weight = None if training.weight is None else torch.from_numpy(training.weight)
    optimizer = torch.optim.AdamW(module.parameters(), lr=trainer.learning_rate, weight_decay=trainer.weight_decay)
    schedule = _schedule(optimizer, trainer, trainer.epochs * -(-len(label) // trainer.batch_size))
    for _ in range(trainer.epochs):
        module.train()
        total = 0.0
        for rows in torch.split(torch.randperm(len(label)), trainer.batch_size):
            logits = module(inputs[0][rows], inputs[1][rows])
            counts = None if weight is None else weight[rows]
            loss = objective.loss(logits, label[rows], counts)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        yield total / len(label)


def _schedule(
    optimizer: "torch.optim.Optimizer", trainer: TorchTrainer, steps: int
) -> "torch.optim.lr_scheduler.LRScheduler":
    """One cycle over all steps (Smith and Topin, 2018); a constant rate if they are too few to warm up."""
    from torch.optim.lr_scheduler import ConstantLR, OneCycleLR

    if WARM_UP * steps <= 1:
        return ConstantLR(optimizer, factor=1.0)
    return OneCycleLR(optimizer, trainer.learning_rate, total_steps=steps, pct_start=WARM_UP)


def _measure(module: "torch.nn.Module", validation: TrainingData) -> dict[str, float]:
    scored = _score(module, validation, validation.features)
    return dict(objective_of(validation.task).measure(validation.label, scored))


def _score(module: "torch.nn.Module", data: TrainingData, frame: pl.DataFrame) -> Floats:
    """Return the answers to the rows of `frame`, float32 [N], of several classes [N, K]."""
    import torch

    answer = objective_of(data.task).answer

    numbers, indices = torch.from_numpy(data.numbers(frame)), torch.from_numpy(data.indices(frame))
    module.eval()
    with torch.no_grad():
        pairs = zip(torch.split(numbers, SCORING_ROWS), torch.split(indices, SCORING_ROWS), strict=True)
        scored: Floats = torch.cat([answer(module(*pair)) for pair in pairs]).numpy()
    return scored


def _best_epoch(curves: Curves) -> int:
    return int(np.argmin(curves["validation_loss"]))


def _best(curves: Curves) -> dict[str, float]:
    return {name: values[_best_epoch(curves)] for name, values in curves.items()}


def _parameters(
    trainer: TorchTrainer, training: TrainingData, validation: TrainingData, curves: Curves
) -> Mapping[str, object]:
    declared: dict[str, Any] = {f.name: getattr(trainer, f.name) for f in fields(trainer)}
    build = declared.pop("build")
    return {
        **declared,
        "build": f"{getattr(build, '__module__', '')}.{getattr(build, '__qualname__', type(build).__name__)}",
        "best_epoch": _best_epoch(curves),
        "epochs_run": len(curves["validation_loss"]),
        "training_rows": training.features.height,
        "validation_rows": validation.features.height,
    }


@contextmanager
def _reproducible(seed: int, threads: int) -> Iterator[None]:
    """Fix what the result depends on (random numbers, threads, order of sums), and put it back afterwards."""
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(mode=before[1])
