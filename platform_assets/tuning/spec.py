"""What of a trainer's settings is searched, how tries are chosen, and by which measure one is better than another."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import isclose, isfinite, prod
from typing import Final, Literal

from formats.errors import DeclarationError
from platform_assets.datasets.splits import Split

Value = bool | int | float | str
Settings = Mapping[str, Value]
Direction = Literal["minimize", "maximize"]
Sampler = Literal["tpe", "random", "grid"]

# What shipped trainers measure on the validation part, by task.
DIRECTIONS: Final[Mapping[str, Direction]] = {
    "validation_loss": "minimize",
    "validation_auc": "maximize",
    "validation_accuracy": "maximize",
    "validation_mae": "minimize",
}
# Steps of a range of fractions are told apart up to this part of one.
_PART: Final = 1e-8
_DIGITS: Final = 12


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, both among them, in steps of `step`; `log` weighs each tenfold alike."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _require(self, self.low < self.high, "low must be below high")
        _require(self, self.step > 0 and (self.high - self.low) % self.step == 0, "whole steps must lead to high")
        _require(self, not self.log or (self.low > 0 and self.step == 1), "log needs numbers above 0, in steps of 1")

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All of them."""
        return tuple(range(self.low, self.high + 1, self.step))

    @property
    def ends(self) -> tuple[Value, ...]:
        """The least and the greatest."""
        return self.low, self.high

    def holds(self, value: object) -> bool:
        """Whether `value` is one of them."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Real:
    """Numbers from `low` to `high`, both among them, in steps of `step` if there is one; `log` weighs each tenfold alike."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _require(self, isfinite(self.low) and isfinite(self.high) and self.low < self.high, "low must be below high")
        _require(self, not self.log or (self.low > 0 and self.step is None), "log needs numbers above 0, and no step")
        if self.step is not None:
            sound = self.step > 0 and self._on_a_step(self.high, self.step)
            _require(self, sound, "whole steps must lead to high")

    @property
    def values(self) -> tuple[Value, ...] | None:
        """All of them; None if there is no step."""
        if self.step is None:
            return None
        steps = round((self.high - self.low) / self.step)
        return tuple(round(self.low + self.step * number, _DIGITS) for number in range(steps + 1))

    @property
    def ends(self) -> tuple[Value, ...]:
        """The least and the greatest."""
        return float(self.low), float(self.high)

    def holds(self, value: object) -> bool:
        """Whether `value` is one of them."""
        if not isinstance(value, float) or not self.low <= value <= self.high:
            return False
        return self.step is None or self._on_a_step(value, self.step)

    def _on_a_step(self, value: float, step: float) -> bool:
        steps = (value - self.low) / step
        return abs(steps - round(steps)) < _PART


@dataclass(frozen=True)
class OneOf:
    """Any of `values`: numbers, texts, yes and no."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        told = {(type(value), value) for value in self.values}
        _require(self, len(told) > 1 and len(told) == len(self.values), "it needs two values or more, each once")

    @property
    def ends(self) -> tuple[Value, ...]:
        """All of them: none is between two others."""
        return self.values

    def holds(self, value: object) -> bool:
        """Whether `value` is one of them; 1 is neither 1.0 nor yes."""
        return any(type(each) is type(value) and each == value for each in self.values)


Domain = Whole | Real | OneOf


@dataclass(frozen=True)
class Search:
    """`trials` tries of other settings, of which the declared ones are the first.

    `space` says by name what may vary; of a setting that is a mapping, a part is named as in `parameters.C`. `sampler` chooses:
    by what was good so far (`tpe`, a tree-structured Parzen estimator), by lot (`random`), or all there is (`grid`). A trial is
    trained on the folds of `split`, which is that of the training set if it is None, and judged by the mean of `measure` over
    their validation parts. `direction` need only be named for measures of your own. With `pruning` a trial ends early once it is
    behind the median of those before it at the same step: not before `warm_up_trials` have come to their end, nor in its own
    first `warm_up_steps` epochs or rounds. `workers` processes try at the same time.
    """

    space: Mapping[str, Domain]
    trials: int = 20
    sampler: Sampler = "tpe"
    workers: int = 1
    measure: str = "validation_loss"
    direction: Direction | None = None
    split: Split | None = None
    pruning: bool = False
    warm_up_trials: int = 4
    warm_up_steps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [*self._numbers(), *self._choices()]
        if faults:
            raise DeclarationError(
                "declaration-invalid", f"Search: {'; '.join(faults)}", "change the search's declaration"
            )

    @property
    def goal(self) -> Direction:
        """Whether less of the measure is better, or more."""
        return self.direction or DIRECTIONS[self.measure]

    @property
    def grid(self) -> tuple[dict[str, Value], ...]:
        """Every combination, the last setting changing fastest. Only where each setting has finitely many values."""
        held = {name: domain.values or () for name, domain in self.space.items()}
        return tuple(dict(zip(held, each, strict=True)) for each in product(*held.values()))

    def _numbers(self) -> list[str]:
        low = {"trials": 2, "workers": 1, "warm_up_trials": 1, "warm_up_steps": 0}
        return [
            f"{name} is {getattr(self, name)} and must be at least {least}"
            for name, least in low.items()
            if getattr(self, name) < least
        ]

    def _choices(self) -> list[str]:
        faults = [] if self.space else ["space is empty, and names what may vary"]
        if self.sampler not in ("tpe", "random", "grid"):
            faults.append(f"sampler is {self.sampler!r} and must be tpe, random or grid")
        known = DIRECTIONS.get(self.measure)
        if self.direction not in ("minimize", "maximize", None):
            faults.append(f"direction is {self.direction!r} and must be minimize or maximize")
        elif known is None and self.direction is None:
            faults.append(
                f"{self.measure} is no measure of a shipped trainer; direction must say if less of it is better"
            )
        elif known is not None and self.direction not in (None, known):
            faults.append(f"direction is {self.direction}, and {self.measure} is better the other way")
        return [*faults, *(self._grid_faults() if self.sampler == "grid" else [])]

    def _grid_faults(self) -> list[str]:
        endless = [name for name, domain in self.space.items() if domain.values is None]
        if endless:
            return [f"a grid needs a step for {', '.join(endless)}"]
        points = prod(len(domain.values or ()) for domain in self.space.values())
        return [f"the grid has {points} points, and trials is {self.trials}"] if points > self.trials else []


def same(one: Settings, other: Settings) -> bool:
    """Whether two settings are the same but for how a fraction was rounded."""
    return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)


def _is_same(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return type(one) is type(other) and one == other


def _require(domain: object, sound: bool, what: str) -> None:
    if not sound:
        raise DeclarationError("declaration-invalid", f"{domain}: {what}", "change the search's space")
