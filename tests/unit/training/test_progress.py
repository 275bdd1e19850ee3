"""A training tells how it goes, seldom enough to cost nothing, and leaves no step out."""

from collections.abc import Mapping

import pytest

from platform_assets.training.progress import Progress


class Told:
    """A clock that is moved by hand, and what was said and recorded."""

    def __init__(self, steps: int, rows: int = 1000) -> None:
        self.time = 0.0
        self.lines: list[str] = []
        self.recorded: list[tuple[int, list[Mapping[str, float]]]] = []
        self.progress = Progress(steps, rows, self.lines.append, self._record, lambda: self.time)

    def _record(self, rows: list[Mapping[str, float]], first: int) -> None:
        self.recorded.append((first, rows))

    def step(self, number: int, seconds: float) -> None:
        self.time += seconds
        self.progress(number, {"validation_loss": 1 / (number + 1)})


def test_a_slow_step_is_told_at_once_with_rate_and_time_left() -> None:
    told = Told(steps=4)
    for number in range(2):
        told.step(number, 2.0)
    assert told.lines == [
        "step 1 of at most 4: validation_loss 1.0000, 500 rows a second, at most 6 s left",
        "step 2 of at most 4: validation_loss 0.5000, 500 rows a second, at most 4 s left",
    ]


@pytest.mark.parametrize("seconds", [0.01, 0.3, 5.0])
def test_every_step_is_recorded_once_and_in_order(seconds: float) -> None:
    told = Told(steps=50)
    for number in range(50):
        told.step(number, seconds)
    told.progress.flush()
    told.progress.flush()
    measured = [(first + place, row) for first, rows in told.recorded for place, row in enumerate(rows)]
    assert measured == [(number, {"validation_loss": 1 / (number + 1)}) for number in range(50)]
    assert len(told.lines) == len(told.recorded) <= 2 + 50 * min(seconds, 1.0)


def test_a_training_without_a_step_says_nothing() -> None:
    told = Told(steps=4)
    told.progress.flush()
    assert (told.lines, told.recorded) == ([], [])
