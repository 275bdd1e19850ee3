"""What the caller gets: one prediction a row, under an id that the prediction log knows; the task says in which words."""

import os
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from formats.release import ReleaseDocument
from formats.task import Multiclass, Regression, Task
from serving.batching import Answer
from serving.marks import Marks

# RFC 9562: the two bits of the variant replace the upper half of a random digit.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """The answer for one row. `prediction` is its id in the prediction log."""

    prediction: str
    probability: float
    model: str
    release: str
    bundle: str
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


class ClassPrediction(msgspec.Struct, frozen=True, gc=False, rename={"likeliest": "class"}):
    """The answer for one row: the likeliest class, and the probability of each by its name."""

    prediction: str
    likeliest: str
    probabilities: dict[str, float]
    model: str
    release: str
    bundle: str
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


class ValuePrediction(msgspec.Struct, frozen=True, gc=False):
    """The answer for one row: a number, in the unit of what was learnt."""

    prediction: str
    value: float
    model: str
    release: str
    bundle: str
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


AnyPrediction = Prediction | ClassPrediction | ValuePrediction


class Predictions(msgspec.Struct, frozen=True):
    """The answers for many rows, in their order."""

    predictions: list[Prediction]


class ClassPredictions(msgspec.Struct, frozen=True):
    """The answers for many rows, in their order."""

    predictions: list[ClassPrediction]


class ValuePredictions(msgspec.Struct, frozen=True):
    """The answers for many rows, in their order."""

    predictions: list[ValuePrediction]


class AnswerForm(NamedTuple):
    """How a task's answers are told: `one` row and `many`, whose `types` they are, and `tell`, what stands after a row's id.

    `many` takes a list of `one`. `logged` is the field of the prediction log that `record` of a prediction goes into.
    """

    types: tuple[type[AnyPrediction], type[msgspec.Struct]]
    one: Callable[..., AnyPrediction]
    many: Callable[[list[Any]], msgspec.Struct]
    tell: Callable[[Any], tuple[Any, ...]]
    logged: str
    record: Callable[[Any], Any]

    def predictions(
        self, model: str, release: ReleaseDocument, marks: Sequence[Marks], answer: Answer
    ) -> list[AnyPrediction]:
        """One prediction a row."""
        one, tell = self.one, self.tell
        ids = new_ids(len(answer))
        return [
            one(name, *tell(numbers), model, release.release, release.bundle, *mark)
            for name, numbers, mark in zip(ids, answer.tolist(), marks, strict=True)
        ]


def answer_form(task: Task) -> AnswerForm:
    """How the answers of `task` are told."""
    if isinstance(task, Multiclass):
        classes = task.classes

        def tell(chances: list[float]) -> tuple[str, dict[str, float]]:
            likeliest = max(range(len(chances)), key=chances.__getitem__)
            return classes[likeliest], dict(zip(classes, chances, strict=True))

        named = (ClassPrediction, ClassPredictions)
        return AnswerForm(named, *named, tell, "probabilities", _told_classes)
    if isinstance(task, Regression):
        types = (ValuePrediction, ValuePredictions)
        return AnswerForm(types, *types, _alone, "value", attrgetter("value"))
    return AnswerForm(
        (Prediction, Predictions), Prediction, Predictions, _alone, "probability", attrgetter("probability")
    )


def _told_classes(said: ClassPrediction) -> tuple[float, ...]:
    return tuple(said.probabilities.values())


def _alone(number: float) -> tuple[float]:
    return (number,)


def new_ids(count: int) -> list[str]:
    """UUIDs of version 7 as formats/identifiers.py makes them, many at a time."""
    stamp = f"{time.time_ns() // 1_000_000:012x}"
    start = f"{stamp[:8]}-{stamp[8:]}-7"
    random = os.urandom(10 * count).hex()
    return [
        f"{start}{random[at : at + 3]}-{_VARIANT[random[at + 3]]}{random[at + 4 : at + 7]}-{random[at + 7 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]
