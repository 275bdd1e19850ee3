"""Transformations that are fitted on what is learnt from, and travel with the model: inside its graph, before its first layer.

Scikit-learn's estimators find the numbers (means, medians, scores). What is done with them is a torch module each, before the
network, so training, torch and the exported graph go through the same operations, and a request brings raw values.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.errors import DeclarationError
from formats.task import Regression

if TYPE_CHECKING:
    import torch

    from platform_assets.training.spec import TrainingData

Matrix = NDArray[np.float64]


class Fitted(NamedTuple):
    """A fitted transformation: a module from `numeric` float32 [N, F] and indices int64 [N, C] to float32 [N, F'], F' names."""

    module: "torch.nn.Module"
    names: tuple[str, ...]


class Transform(ABC):
    """One step between the raw numbers and the network."""

    @abstractmethod
    def fit(self, numbers: Matrix, names: tuple[str, ...], data: "TrainingData") -> Fitted:
        """Fit on `numbers` [N, F], what the steps before made of the examples `data`, NaN for missing."""


@dataclass(frozen=True)
class Impute(Transform):
    """A missing number becomes the column's mean, median or most frequent value, or `fill`; `indicator` adds a column that says so.

    A column without any value becomes 0.
    """

    strategy: Literal["mean", "median", "most_frequent", "constant"] = "median"
    fill: float = 0.0
    indicator: bool = False

    def fit(self, numbers: Matrix, names: tuple[str, ...], data: "TrainingData") -> Fitted:  # noqa: ARG002 - as every step
        """By scikit-learn's SimpleImputer."""
        from sklearn.impute import SimpleImputer

        imputer = SimpleImputer(strategy=self.strategy, fill_value=self.fill, keep_empty_features=True).fit(numbers)
        added = tuple(f"{name}_missing" for name in names) if self.indicator else ()
        return Fitted(
            _imputing(_float32(np.nan_to_num(imputer.statistics_)), indicator=self.indicator), (*names, *added)
        )


@dataclass(frozen=True)
class Scale(Transform):
    """Numbers are moved and stretched: to mean 0 and deviation 1, to median 0 and quartiles 1 apart, or to 0..1. Missing stays."""

    method: Literal["standard", "robust", "minmax"] = "standard"

    def fit(self, numbers: Matrix, names: tuple[str, ...], data: "TrainingData") -> Fitted:  # noqa: ARG002 - as every step
        """By scikit-learn's StandardScaler, RobustScaler or MinMaxScaler; a column that never varies is moved alone."""
        from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

        # An empty column has no mean; scikit-learn would warn, and it stays missing whatever it is scaled by.
        known = np.where(np.isnan(numbers).all(axis=0), 0.0, numbers)
        if self.method == "standard":
            found = StandardScaler().fit(known)
            center, spread = found.mean_, found.scale_
        elif self.method == "robust":
            found = RobustScaler().fit(known)
            center, spread = found.center_, found.scale_
        else:
            found = MinMaxScaler().fit(known)
            center, spread = found.data_min_, 1 / found.scale_
        return Fitted(_scaling(_float32(center), _float32(1 / spread)), names)


@dataclass(frozen=True)
class OneHot(Transform):
    """Each known value of the text columns `columns` becomes a number, 1 in rows that have it; an unknown value is 0 in all."""

    columns: tuple[str, ...]

    def fit(self, numbers: Matrix, names: tuple[str, ...], data: "TrainingData") -> Fitted:  # noqa: ARG002 - as every step
        """The values are the vocabulary's, which the graph looks indices up in."""
        held = list(data.categorical)
        if strange := sorted({*self.columns} - {*held}):
            raise DeclarationError(
                "declaration-invalid", f"OneHot names {strange}, and the text columns are {held}", "name some of these"
            )
        sizes = {held.index(name): len(data.categorical[name]) for name in self.columns}
        added = tuple(f"{name}={value}" for name in self.columns for value in data.categorical[name])
        return Fitted(_one_hot(sizes), (*names, *added))


@dataclass(frozen=True)
class SelectBest(Transform):
    """The `count` numbers that tell most about the answer alone, by mutual information or the F score, in their order.

    Scores are taken on at most `rows` examples, evenly spread.
    """

    count: int
    by: Literal["mutual_information", "f_score"] = "mutual_information"
    rows: int = 10_000
    seed: int = 0

    def fit(self, numbers: Matrix, names: tuple[str, ...], data: "TrainingData") -> Fitted:
        """By scikit-learn's SelectKBest."""
        from sklearn.feature_selection import SelectKBest

        if np.isnan(numbers).any() or not 0 < self.count <= len(names):
            raise DeclarationError(
                "declaration-invalid",
                f"SelectBest cannot choose {self.count} of {len(names)} numbers, or some are missing",
                "let Impute come before it, and choose as many as there are at most",
            )

        scores = self._value_scores if isinstance(data.task, Regression) else self._class_scores
        places = np.unique(np.linspace(0, len(numbers) - 1, self.rows).astype(np.intp))
        chosen = SelectKBest(scores, k=self.count).fit(numbers[places], data.label[places]).get_support(indices=True)
        return Fitted(_selecting(chosen.astype(np.int64)), tuple(names[place] for place in chosen))

    def _class_scores(self, numbers: Matrix, answers: NDArray[Any]) -> Matrix:
        from sklearn.feature_selection import f_classif, mutual_info_classif

        return self._scores(numbers, answers, mutual_info_classif, f_classif)

    def _value_scores(self, numbers: Matrix, answers: NDArray[Any]) -> Matrix:
        from sklearn.feature_selection import f_regression, mutual_info_regression

        return self._scores(numbers, answers, mutual_info_regression, f_regression)

    def _scores(
        self, numbers: Matrix, answers: NDArray[Any], information: Callable[..., Matrix], f_scores: Callable[..., Any]
    ) -> Matrix:
        scores: Matrix
        if self.by == "mutual_information":
            scores = information(numbers, answers, random_state=self.seed)
            return scores
        # A number that never varies has no F score, and is chosen last.
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            warnings.filterwarnings("ignore", message="Features .* are constant", category=UserWarning)
            scores, _ = f_scores(numbers, answers)
        return np.nan_to_num(scores, nan=-1.0)


def fit_transforms(
    transforms: tuple[Transform, ...], data: "TrainingData"
) -> tuple["TrainingData", list["torch.nn.Module"]]:
    """Fit one step after the other on `data`; return what they make of it, under the names that they give, and their modules."""
    import torch

    numbers, indices = torch.from_numpy(data.numbers()), torch.from_numpy(data.indices())
    names, modules = data.numbers_by_name, []
    for transform in transforms:
        fitted = transform.fit(numbers.numpy().astype(np.float64), names, data)
        with torch.no_grad():
            numbers = fitted.module(numbers, indices)
        names = fitted.names
        modules.append(fitted.module)
    texts = data.features.select(list(data.categorical))
    features = pl.DataFrame(numbers.numpy(), schema=list(names)).hstack(texts)
    return replace(data, features=features, numeric=names, shapes={}), modules


def one_after_the_other(modules: list["torch.nn.Module"]) -> "torch.nn.Module":
    """The numbers that `modules` make, from `numeric` float32 [N, F] and indices int64 [N, C]: float32 [N, F']."""
    import torch

    class Steps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(modules)

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            for step in self.steps:
                numeric = step(numeric, indices)
            return numeric

    return Steps().eval()


def behind(modules: list["torch.nn.Module"], network: "torch.nn.Module") -> "torch.nn.Module":
    """The network, which gets its numbers through `modules`."""
    import torch

    class Prepared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.numbers = one_after_the_other(modules)
            self.network = network

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(self.numbers(numeric, indices), indices)
            return logits

    return Prepared()


def _imputing(fill: NDArray[np.float32], *, indicator: bool) -> "torch.nn.Module":
    import torch

    class Imputing(torch.nn.Module):
        fill: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("fill", torch.from_numpy(fill))

        def forward(self, numeric: torch.Tensor, _indices: torch.Tensor) -> torch.Tensor:
            missing = torch.isnan(numeric)
            filled = torch.where(missing, self.fill, numeric)
            return torch.cat([filled, missing.to(filled.dtype)], dim=1) if indicator else filled

    return Imputing()


def _scaling(center: NDArray[np.float32], rate: NDArray[np.float32]) -> "torch.nn.Module":
    import torch

    class Scaling(torch.nn.Module):
        center: torch.Tensor
        rate: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("center", torch.from_numpy(center))
            self.register_buffer("rate", torch.from_numpy(rate))

        def forward(self, numeric: torch.Tensor, _indices: torch.Tensor) -> torch.Tensor:
            return (numeric - self.center) * self.rate

    return Scaling()


def _one_hot(sizes: dict[int, int]) -> "torch.nn.Module":
    import torch

    column = np.repeat(list(sizes), list(sizes.values())).astype(np.int64)
    value = np.concatenate([np.arange(1, size + 1) for size in sizes.values()]).astype(np.int64)

    class Encoding(torch.nn.Module):
        column: torch.Tensor
        value: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("column", torch.from_numpy(column))
            self.register_buffer("value", torch.from_numpy(value))

        def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            hot = (indices[:, self.column] == self.value).to(numeric.dtype)
            return torch.cat([numeric, hot], dim=1)

    return Encoding()


def _selecting(places: NDArray[np.int64]) -> "torch.nn.Module":
    import torch

    class Selecting(torch.nn.Module):
        places: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("places", torch.from_numpy(places))

        def forward(self, numeric: torch.Tensor, _indices: torch.Tensor) -> torch.Tensor:
            return numeric[:, self.places]

    return Selecting()


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)
