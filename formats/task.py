"""What a model answers: one of two outcomes, one of several classes, or a number. Declared with the label, carried by the bundle.

task         the graph's output             the answer of an endpoint
binary       `probability` float32 [N]      the chance that the outcome is 1
multiclass   `probabilities` float32 [N, K] the likeliest class, and the chance of each
regression   `value` float32 [N]            a number in the label's unit
"""

from typing import Literal

import msgspec

TaskKind = Literal["binary", "multiclass", "regression"]


class Binary(msgspec.Struct, frozen=True, tag_field="kind", tag="binary", forbid_unknown_fields=True):
    """The label is 0 or 1, or a truth value."""


class Multiclass(msgspec.Struct, frozen=True, tag_field="kind", tag="multiclass", forbid_unknown_fields=True):
    """The label is one of `classes`, whose order is that of the probabilities. Labels that are numbers go by their text."""

    classes: tuple[str, ...]


class Regression(msgspec.Struct, frozen=True, tag_field="kind", tag="regression", forbid_unknown_fields=True):
    """The label is a finite number."""


Task = Binary | Multiclass | Regression
BINARY = Binary()

_OUTPUTS: dict[TaskKind, str] = {"binary": "probability", "multiclass": "probabilities", "regression": "value"}


def kind_of(task: Task) -> TaskKind:
    """The task's name."""
    if isinstance(task, Multiclass):
        return "multiclass"
    return "regression" if isinstance(task, Regression) else "binary"


def output_of(task: Task) -> str:
    """What the graph's output of this task is called."""
    return _OUTPUTS[kind_of(task)]


def width_of(task: Task) -> int | None:
    """How many numbers the graph gives for a row; None where it gives one, and the output has no second dimension."""
    return len(task.classes) if isinstance(task, Multiclass) else None
