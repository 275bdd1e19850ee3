"""Opportunistic batching: requests that were decoded in one turn of the event loop share one run of the model.

There is no timer, so nobody waits for company: the first request of a turn schedules the run for the next one, and whoever
arrives in between comes along. Whose deadline is over by then is not inferred.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.deadline import NEVER, Deadline
from serving.requests import Categorical, Numeric

Answer = NDArray[np.float32]
Run = Callable[[Numeric, Categorical], Answer]

# Beyond this a run gains nothing from company and keeps the loop busy.
MAX_SHARED_ROWS = 1024


class _Waiting(NamedTuple):
    numeric: Numeric
    categorical: Categorical
    future: "asyncio.Future[Answer]"
    deadline: Deadline


class Batcher:
    """Runs one version of a model for its waiting requests; each gets the answers of its own rows."""

    def __init__(self, run: Run, observe: Callable[[int], None] = lambda _: None) -> None:
        self._run = run
        self._observe = observe
        self._waiting: list[_Waiting] = []

    def submit(
        self, numeric: Numeric, categorical: Categorical, deadline: Deadline = NEVER
    ) -> "asyncio.Future[Answer]":
        """The answers of these rows, soon; a Refusal if the model does not come to them before `deadline`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append(_Waiting(numeric, categorical, future, deadline))
        return future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        group: list[_Waiting] = []
        rows = 0
        for one in waiting:
            if group and rows + len(one.numeric) > MAX_SHARED_ROWS:
                self._answer(group)
                group, rows = [], 0
            group.append(one)
            rows += len(one.numeric)
        self._answer(group)

    def _answer(self, waiting: list[_Waiting]) -> None:
        group = _in_time(waiting)
        if not group:
            return
        try:
            answers = self._run_together(group)
        except Exception as error:  # noqa: BLE001 - a graph may raise anything: it belongs to those whose rows these are
            self._answer_apart(group, error)
            return
        start = 0
        for one in group:
            end = start + len(one.numeric)
            if not one.future.done():
                one.future.set_result(answers[start:end])
            start = end

    def _answer_apart(self, group: list[_Waiting], error: Exception) -> None:
        """One request must not spoil the others: run each alone, and fail those that fail alone."""
        if len(group) > 1:
            for one in group:
                self._answer([one])
        elif not group[0].future.done():
            group[0].future.set_exception(error)

    def _run_together(self, group: list[_Waiting]) -> Answer:
        if len(group) == 1:
            numeric, categorical = group[0].numeric, group[0].categorical
        else:
            numeric = np.concatenate([one.numeric for one in group])
            categorical = np.concatenate([one.categorical for one in group])
        self._observe(len(numeric))
        return self._run(numeric, categorical)


def _in_time(group: list[_Waiting]) -> list[_Waiting]:
    """Those whose deadline is not over; the others are refused."""
    now = monotonic()
    late = [one for one in group if one.deadline.at <= now]
    if not late:
        return group
    for one in late:
        if not one.future.done():
            one.future.set_exception(one.deadline.late("queue"))
    return [one for one in group if one.deadline.at > now]
