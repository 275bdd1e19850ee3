"""Running the trials of a search: each is trained on the folds, told to its MLflow run, and its end to the study."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from formats.errors import RoadbedError, TrainingError
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.lanes import Lane, TrialError, WorkerDiedError, lanes_of
from platform_assets.tuning.objective import Fold, OnStep, Step, Stopped
from platform_assets.tuning.settings import tried
from platform_assets.tuning.spec import Search, Settings
from platform_assets.tuning.study import Study, Trial
from resources.experiment_run import ExperimentRun

# Each step that is kept for pruning is a write to the disk, and boosting has hundreds of rounds.
_KEPT_OF_A_FOLD: Final = 20


@dataclass(frozen=True)
class Asked:
    """What is searched: `trainer` as it is declared, and the rows to train and measure on."""

    trainer: Trainer
    search: Search
    folds: Sequence[Fold]


@dataclass(frozen=True)
class Told:
    """Who hears of it: the MLflow run in which each trial has its own, and the log."""

    run: ExperimentRun
    log: Callable[[str], None]


def run_trials(asked: Asked, study: Study, told: Told) -> None:
    """Try until every turn of `study` is taken.

    Raises:
        RoadbedError: the declared settings cannot be trained. What was tried so far is kept.
    """
    trials = _Trials(asked, study, told)
    lanes = lanes_of(asked.search.workers, asked.trainer, asked.folds, asked.search.measure)
    try:
        if len(lanes) == 1:
            trials.go(lanes[0])
        else:
            _side_by_side(trials, lanes)
    finally:
        for lane in lanes:
            lane.close()


def _side_by_side(trials: "_Trials", lanes: Sequence[Lane]) -> None:
    """A thread for each lane, which only waits for its process."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        futures = [pool.submit(trials.go, lane) for lane in lanes]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:  # an interrupt too: the threads must not go on without anybody to wait for them
            trials.end()
            for lane in lanes:
                lane.close()
            raise


class _FailedError(Exception):
    """A trial has failed, and its MLflow run ends as that."""


class _Trials:
    """What lanes share. Whatever touches the study holds the lock."""

    def __init__(self, asked: Asked, study: Study, told: Told) -> None:
        self._asked, self._study, self._told = asked, study, told
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._every = max(1, asked.trainer.steps // _KEPT_OF_A_FOLD)

    def end(self) -> None:
        """Begin no other trial."""
        self._ended.set()

    def go(self, lane: Lane) -> None:
        """One trial after the other, until there is none left."""
        while (trial := self._next()) is not None:
            try:
                self._try(trial, lane)
            except BaseException:  # an interrupt too: the trial's turn is open again, for whoever goes on
                with suppress(ValueError), self._lock:  # it may have been told before
                    self._study.interrupted(trial)
                raise

    def _next(self) -> Trial | None:
        with self._lock:
            return None if self._ended.is_set() else self._study.ask()

    def _try(self, trial: Trial, lane: Lane) -> None:
        with self._lock:
            known = self._study.value_of(trial.settings)
            if known is not None:
                self._study.done(trial, known)
        if known is not None:
            self._say(trial, f"as before: {known:.6g}")
            return
        name, tags = f"trial {trial.turn + 1}", {"turn": str(trial.turn)}
        with suppress(_FailedError), self._told.run.child(name, dict(trial.settings), tags) as run:
            with self._lock:
                trial.name_run(run.id)
            self._measure(trial, lane, run)

    def _measure(self, trial: Trial, lane: Lane, run: ExperimentRun) -> None:
        steps: list[Mapping[str, float]] = []
        try:
            value = lane.measure(tried(self._asked.trainer, trial.settings), self._follow(trial, steps))
        except Stopped:
            _record(run, "pruned", steps)
            self._settle(trial, self._study.pruned, f"ended early, behind the others after {len(steps)} steps")
        except WorkerDiedError as error:
            _record(run, "interrupted", steps)
            self._bury(trial, error)
        except Exception as error:  # noqa: BLE001 a trial's boundary: what its settings make of a framework is its own end
            _record(run, "failed", steps)
            self._fail(trial, error)
        else:
            _record(run, "done", steps, value)
            self._settle(trial, lambda one: self._study.done(one, value), f"{self._asked.search.measure} {value:.6g}")

    def _follow(self, trial: Trial, steps: list[Mapping[str, float]]) -> OnStep:
        def on_step(step: Step) -> None:
            steps.append(step.measures)
            if self._asked.search.pruning and step.epoch % self._every == 0:
                with self._lock:
                    behind = self._study.is_behind(trial, step.fold, step.epoch, step.value)
                if behind:
                    raise Stopped

        return on_step

    def _settle(self, trial: Trial, tell: Callable[[Trial], None], said: str) -> None:
        with self._lock:
            tell(trial)
        self._say(trial, said)

    def _bury(self, trial: Trial, error: WorkerDiedError) -> None:
        if self._ended.is_set():
            self._settle(trial, self._study.interrupted, "interrupted")
            raise _FailedError from error
        with self._lock:
            too_often = self._study.died(trial, error.code)
        self._say(trial, f"{error}; {'it died before' if too_often else 'tried again'}")
        if too_often and trial.turn == 0:
            raise TrainingError(
                "search-interrupted",
                f"the process that trains the declared settings died again: it ended with {error.code}",
                "look for a lack of memory: fewer workers, or fewer rows",
            ) from error
        raise _FailedError from error

    def _fail(self, trial: Trial, error: Exception) -> None:
        kind, text = (error.code, error.message) if isinstance(error, RoadbedError) else (_kind(error), str(error))
        self._settle(trial, lambda one: self._study.failed(one, kind), f"failed ({kind}): {text}")
        if trial.turn == 0:
            raise error
        raise _FailedError from error

    def _say(self, trial: Trial, what: str) -> None:
        with self._lock:
            self._told.log(f"trial {trial.turn + 1} of {self._study.turns} ({told_settings(trial.settings)}): {what}")


def told_settings(settings: Settings) -> str:
    """The settings in a line."""
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in settings.items()
    )


def _record(run: ExperimentRun, state: str, steps: Sequence[Mapping[str, float]], value: float | None = None) -> None:
    run.tag("state", state)
    run.history(steps)
    if value is not None:
        run.metrics({"value": value})


def _kind(error: Exception) -> str:
    return error.kind if isinstance(error, TrialError) else type(error).__name__
