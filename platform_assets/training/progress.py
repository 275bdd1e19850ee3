"""How a training goes, told while it goes: one line in the log at a time, and every epoch's measures in the experiment."""

import time
from collections.abc import Callable, Mapping
from typing import Final

# Boosting rounds take milliseconds; the log and the tracking store are written at most this often.
_SECONDS_BETWEEN: Final = 1.0


class Progress:
    """Called after each epoch or round, from 0, as a trainer's `on_epoch`.

    `log` gets a line such as `step 3 of at most 40: validation_loss 0.4312, 25,000 rows a second, at most 12 s left`; `record` gets
    the measures of consecutive steps and the number of the first. `rows` are learnt from in each step.
    """

    def __init__(
        self,
        steps: int,
        rows: int,
        log: Callable[[str], None],
        record: Callable[[list[Mapping[str, float]], int], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._rows, self._log, self._record, self._now = steps, rows, log, record, now
        self._begun = now()
        self._told_at = float("-inf")
        self._done = 0
        self._waiting: list[Mapping[str, float]] = []

    def __call__(self, epoch: int, measures: Mapping[str, float]) -> None:
        """The measures of step `epoch`."""
        self._done = epoch + 1
        self._waiting.append(dict(measures))
        if self._now() - self._told_at >= _SECONDS_BETWEEN:
            self.flush()

    def flush(self) -> None:
        """Tell what was not told yet; the last steps of a training, also of one that fails."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        self._told_at = self._now()
        self._record(waiting, self._done - len(waiting))
        self._log(self._line(waiting[-1]))

    def _line(self, measures: Mapping[str, float]) -> str:
        seconds = max(self._now() - self._begun, 1e-9)
        told = ", ".join(f"{name} {value:.4f}" for name, value in measures.items())
        rate, left = self._rows * self._done / seconds, seconds / self._done * (self._steps - self._done)
        return (
            f"step {self._done} of at most {self._steps}: {told}, {rate:,.0f} rows a second, at most {left:.0f} s left"
        )
