"""What training takes, what it gives, and how a torch model is declared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.task import BINARY, Task, width_of
from platform_assets.answers import encoded
from platform_assets.tensors import Shape, block, element_names
from platform_assets.training.trainer import Trainer
from platform_assets.training.transforms import Transform

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Epoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TrainingData:
    """N examples: `features` (N rows), and `label` (N values) in the same order: 0 or 1, the class's place, or the number.

    `numeric` names the columns of the model's input `numeric`, `categorical` the C columns of its input `categorical`
    with the values that each may take; any other value, and null, is unknown. `shapes` has the shape of each column of `numeric`
    that holds tensors, whose elements are numbers of the input in row-major order. `weight` (N values) is how much each counts in
    the loss, 1 where there is none. `task` is what is to be answered.
    """

    features: pl.DataFrame
    label: Floats
    numeric: tuple[str, ...]
    categorical: Mapping[str, tuple[str, ...]]
    weight: Floats | None = None
    task: Task = BINARY
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        frame: pl.DataFrame,
        label: str,
        numeric: Sequence[str],
        categorical: Mapping[str, Sequence[str]],
        weight: str | None = None,
        task: Task = BINARY,
        shapes: Mapping[str, Shape] | None = None,
    ) -> "TrainingData":
        """Take the columns out of `frame`, in the model's order; `weight` is the column of weights, if there is one.

        Raises DataError if a label is none of the task's.
        """
        return cls(
            features=frame.select(*numeric, *categorical),
            label=encoded(frame[label], task).astype(np.float32),
            numeric=tuple(numeric),
            categorical={name: tuple(values) for name, values in categorical.items()},
            weight=None if weight is None else frame[weight].cast(pl.Float32).to_numpy(writable=True),
            task=task,
            shapes=shapes or {},
        )

    def followed_by(self, later: "TrainingData") -> "TrainingData":
        """Return these examples and `later` ones of the same columns, in one."""
        label = np.concatenate([self.label, later.label])
        weighted = self.weight is not None or later.weight is not None
        weight = np.concatenate([part.weights for part in (self, later)]) if weighted else None
        return replace(self, features=pl.concat([self.features, later.features]), label=label, weight=weight)

    @property
    def weights(self) -> Floats:
        """The weight of each example, float32 [N]."""
        return np.ones(len(self.label), np.float32) if self.weight is None else self.weight

    @property
    def width(self) -> int:
        """How many numbers the input `numeric` has for an example, F."""
        return sum(prod(self.shapes.get(name, ())) for name in self.numeric)

    @property
    def numbers_by_name(self) -> tuple[str, ...]:
        """What each of the F numbers is called: a column's name, with the place of an element of a tensor."""
        return tuple(element for name in self.numeric for element in element_names(name, self.shapes.get(name, ())))

    @property
    def outputs(self) -> int:
        """How many numbers a module gives for an example: one a class, else one."""
        return width_of(self.task) or 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many indices each categorical column has, unknown (0) included."""
        return tuple(len(values) + 1 for values in self.categorical.values())

    def numbers(self, frame: pl.DataFrame | None = None) -> Floats:
        """Return the input `numeric`, float32 [N, F] with NaN for missing, of `frame` or of the examples."""
        source = self.features if frame is None else frame
        # numpy gets null as NaN; filling it before would be a query of polars for each column of each row that a gate asks about.
        columns = [
            block(source[name], self.shapes[name]) if name in self.shapes else source[name].cast(pl.Float32).to_numpy()
            for name in self.numeric
        ]
        return _matrix(columns, source.height, np.dtype(np.float32))

    def texts(self, frame: pl.DataFrame | None = None) -> NDArray[np.object_]:
        """Return the input `categorical`, text [N, C] with "" for missing, of `frame` or of the examples."""
        source = self.features if frame is None else frame
        texts = (source[name].cast(pl.String) for name in self.categorical)
        columns = [(text.fill_null("") if text.has_nulls() else text).to_numpy() for text in texts]
        return _matrix(columns, source.height, np.dtype(np.object_))

    def indices(self, frame: pl.DataFrame | None = None) -> NDArray[np.int64]:
        """Return what the graph makes of `categorical`: int64 [N, C], 1 for the first known value, 0 for unknown."""
        source = self.features if frame is None else frame
        columns = [_index(source[name], values) for name, values in self.categorical.items()]
        return _matrix(columns, source.height, np.dtype(np.int64))


@dataclass(frozen=True)
class TrainedModel:
    """A trained model: the graph that is served, and the framework's own prediction to hold it against.

    `predict` takes a frame with the feature columns and gives float32 [N], of several classes [N, K]. `curves` has one value an
    epoch, and `best` those of the epoch that was kept. `inputs` are the names of the numbers that reach the model.
    """

    onnx: bytes
    predict: Callable[[pl.DataFrame], Floats]
    curves: Mapping[str, Sequence[float]]
    parameters: Mapping[str, object]
    best: Mapping[str, float] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TorchTrainer(Trainer):
    """How a torch model is trained: AdamW on the task's loss, the learning rate rising and falling once over `epochs`.

    The loss is the log loss of two outcomes or of several classes, and the squared error of numbers.

    `build` makes the untrained module from the training part, on which it may fit its buffers (scales, bin edges). The
    module maps `numeric` float32 [N, F] and category indices int64 [N, C] to logits float32 [N], of K classes [N, K], or to
    values [N]. Training stops when the loss on the validation part has not fallen for `patience` epochs. With `refit` a new module
    is then trained on both parts, for the number of epochs that was best, so that the latest examples are learnt from too; without,
    the best epoch is kept.
    `transforms` are fitted on what is learnt from, one after the other, and become part of the graph: `build` gets the examples as
    they make them, and the module the numbers that they give.
    `threads` is part of the declaration because the bytes of the result depend on it.
    """

    kind: ClassVar[str] = "torch"

    build: "Callable[[TrainingData], torch.nn.Module]"
    transforms: tuple[Transform, ...] = ()
    refit: bool = True
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    patience: int = 2
    seed: int = 0
    threads: int = 1

    @property
    def code(self) -> tuple[str, ...]:
        """The module that builds, and the training loop."""
        return self.build.__module__, "platform_assets.training.torch_trainer"

    @property
    def steps(self) -> int:
        """One an epoch."""
        return self.epochs

    def fit(
        self,
        training: TrainingData,
        validation: TrainingData,
        on_epoch: Epoch | None = None,
        everything: TrainingData | None = None,
    ) -> TrainedModel:
        """As every trainer."""
        from platform_assets.training.torch_trainer import fit_torch

        return fit_torch(self, training, validation, on_epoch, everything)

    def measure(
        self, training: TrainingData, validation: TrainingData, on_epoch: Epoch | None = None
    ) -> Mapping[str, float]:
        """As every trainer; nothing is refitted."""
        from platform_assets.training.torch_trainer import measure_torch

        return measure_torch(self, training, validation, on_epoch)


def vocabulary(frame: pl.DataFrame, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the values that occur in each of `columns`, sorted, without null."""
    return {name: tuple(frame[name].drop_nulls().cast(pl.String).unique().sort()) for name in columns}


def _index(column: pl.Series, values: Sequence[str]) -> NDArray[np.int64]:
    known = pl.Series(values, dtype=pl.String)
    numbers = pl.Series(range(1, len(values) + 1), dtype=pl.Int64)
    return column.cast(pl.String).replace_strict(known, numbers, default=0, return_dtype=pl.Int64).to_numpy()


def _matrix(columns: Sequence[NDArray[Any]], rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.column_stack(columns).astype(dtype, copy=False) if columns else np.empty((rows, 0), dtype)
