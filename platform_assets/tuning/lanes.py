"""Where trials are trained: in this process, or in processes of their own, which end when this one does.

A process gets the rows once and then one trainer after another. It tells each step and waits to hear whether it should go on.
"""

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple, Protocol

from formats.errors import DeclarationError, RoadbedError
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.objective import Fold, OnStep, Step, Stopped, measured


class Lane(Protocol):
    """One trial at a time."""

    def measure(self, trainer: Trainer, on_step: OnStep) -> float:
        """As `measured`. Raises WorkerDiedError too, and TrialError of an error that is not Roadbed's."""

    def close(self) -> None:
        """End what is trained, at once if that can be."""


class WorkerDiedError(Exception):
    """The process of a lane is gone. `code` is how it ended: -9 when it was killed."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"its process ended with {code}")
        self.code = code


class TrialError(Exception):
    """A trial's own error: `kind` is its name."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind

    def __str__(self) -> str:
        return str(self.args[1])


class _Ended(NamedTuple):
    """How a training ended: with a value, stopped (neither), or with an error."""

    value: float | None = None
    error: RoadbedError | TrialError | None = None


class Here:
    """This process."""

    def __init__(self, folds: Sequence[Fold], measure: str) -> None:
        self._folds, self._measure = folds, measure

    def measure(self, trainer: Trainer, on_step: OnStep) -> float:
        """As every lane."""
        return measured(trainer, self._folds, self._measure, on_step)

    def close(self) -> None:
        """Nothing: what is trained is what the caller waits for."""


class Process:
    """A process of its own, made when it is first needed and again after it died."""

    def __init__(self, folds: Sequence[Fold], measure: str, places: Sequence[str] = ()) -> None:
        self._folds, self._measure, self._places = folds, measure, places
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    def measure(self, trainer: Trainer, on_step: OnStep) -> float:
        """As every lane."""
        try:
            connection = self._opened()
            connection.send(trainer)
            ended = self._followed(connection, on_step)
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self._buried()) from error
        except BaseException:  # an interrupt too: the worker waits for an answer that nobody gives
            self._buried()
            raise
        if ended.error is not None:
            raise ended.error
        if ended.value is None:
            raise Stopped
        return ended.value

    def close(self) -> None:
        """Kill it."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
            process.join()

    def _opened(self) -> Connection:
        if self._connection is not None:
            return self._connection
        context = multiprocessing.get_context("spawn")  # a fork would share threads' locks, of polars and torch
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work, args=(theirs, self._folds, self._measure, self._places), name="roadbed search"
        )
        process.start()
        theirs.close()  # so that its end is heard of
        self._process, self._connection = process, ours
        if self._closed:
            process.kill()
        return ours

    @staticmethod
    def _followed(connection: Connection, on_step: OnStep) -> _Ended:
        while True:
            told: Step | _Ended = connection.recv()
            if isinstance(told, _Ended):
                return told
            try:
                on_step(told)
            except Stopped:
                connection.send(False)
            else:
                connection.send(True)

    def _buried(self) -> int | None:
        process, self._process, self._connection = self._process, None, None
        if process is None:
            return None
        process.kill()
        process.join()
        return process.exitcode


def lanes_of(workers: int, trainer: Trainer, folds: Sequence[Fold], measure: str) -> list[Lane]:
    """As many as are declared. Raises DeclarationError if a trainer cannot be given to other processes."""
    if workers == 1:
        return [Here(folds, measure)]
    try:
        pickle.dumps(trainer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        told = f"{workers} workers need a trainer that another process can be given: {error}"
        raise DeclarationError(
            "declaration-invalid", told, "name functions of a module instead of lambdas, or search with one worker"
        ) from error
    return [Process(folds, measure, _places(trainer)) for _ in range(workers)]


def _places(trainer: Trainer) -> list[str]:
    """Where the trainer's code is imported from: a team's folder is on the path only while Dagster loads the team."""
    found = []
    for name in sorted({module.partition(".")[0] for module in (*trainer.code, type(trainer).__module__)}):
        module = sys.modules.get(name)
        below = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None) or ""]
        found += [str(Path(each).parent) for each in below if each]
    return found


def _work(connection: Connection, folds: Sequence[Fold], measure: str, places: Sequence[str]) -> None:
    """What such a process does: train what it is sent, until nobody is there any more."""
    sys.path.extend(place for place in places if place not in sys.path)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            trainer: Trainer = connection.recv()
        except EOFError:
            return
        connection.send(_trained(connection, trainer, folds, measure))


def _trained(connection: Connection, trainer: Trainer, folds: Sequence[Fold], measure: str) -> _Ended:
    def tell(step: Step) -> None:
        connection.send(step)
        if not connection.recv():
            raise Stopped

    try:
        return _Ended(value=measured(trainer, folds, measure, tell))
    except Stopped:
        return _Ended()
    except RoadbedError as error:
        return _Ended(error=error)
    except Exception as error:  # noqa: BLE001 the process's boundary: it is told as what the trial failed with
        return _Ended(error=TrialError(type(error).__name__, str(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
