"""The trials of one search in a file: what is tried next, what became of it, and what was left when a process was killed.

Each place in the search, its turn, has settings that depend on the seed and on what was told of the turns before alone. So a
search that was killed anywhere and goes on tries what it would have tried. A trial that was left behind has no reason why it
failed, and its turn is open again; one that failed by itself has one, and is not repeated.
"""

import fcntl
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from formats.errors import TrainingError
from platform_assets.tuning.journal import loaded, mend
from platform_assets.tuning.proposals import distribution, sampler
from platform_assets.tuning.spec import Search, Settings, same

if TYPE_CHECKING:
    import optuna

State = Literal["done", "pruned", "failed", "interrupted", "running"]

_TURN, _REASON, _DIED, _RUN = "turn", "reason", "died", "mlflow_run"
# A worker is killed for memory again by the same settings.
_MOST_DEATHS: Final = 2
_FEWEST_FOR_IMPORTANCE: Final = 4
# Epochs of one fold stand behind those of the fold before; no training has as many.
_STEPS_OF_A_FOLD: Final = 1_000_000


class Tried(NamedTuple):
    """A trial as it is told: `reason` is a code or an error's name, and says nothing of any row."""

    turn: int
    state: State
    value: float | None
    settings: Settings
    reason: str = ""
    run: str = ""


@dataclass(frozen=True)
class Trial:
    """A trial that goes on: its place in the search, from 0, and its settings."""

    turn: int
    settings: Settings
    handle: "optuna.Trial"

    def name_run(self, run: str) -> None:
        """Remember the MLflow run that has its steps."""
        self.handle.set_user_attr(_RUN, run)


@contextmanager
def opened(file: Path, search: Search, declared: Settings) -> Iterator["Study"]:
    """The study in `file`, with nobody else in it; what a killed process left there counts as interrupted.

    Raises:
        TrainingError: another process is in it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(
                "search-running",
                f"another run is searching with the same data, code and space ({file.name})",
                "wait for it: it stores each trial as it ends, and a run after it goes on from there",
            ) from error
        mend(file)
        yield Study(loaded(file, search), search, declared)


class Study:
    """Whoever has one is alone with its file. Not for several threads at once."""

    def __init__(self, study: "optuna.Study", search: Search, declared: Settings) -> None:
        self._study, self._search = study, search
        self._distributions = {name: distribution(domain) for name, domain in search.space.items()}
        others = search.grid if search.sampler == "grid" else ()
        self._fixed = [dict(declared), *(point for point in others if not same(point, declared))]
        self._close_interrupted()

    @property
    def turns(self) -> int:
        """How many turns there are."""
        return len(self._fixed) if self._search.sampler == "grid" else self._search.trials

    def ask(self) -> Trial | None:
        """The next trial; None if every turn is taken."""
        taken = {each.turn for each in self.trials() if each.state != "interrupted"}
        turn = next((number for number in range(self.turns) if number not in taken), None)
        if turn is None:
            return None
        known = self._known(turn)
        if known is not None:
            self._study.enqueue_trial(dict(known), user_attrs={_TURN: turn})
        self._study.sampler = sampler(self._search, turn)
        handle = self._study.ask(self._distributions)
        if known is None:
            handle.set_user_attr(_TURN, turn)
        return Trial(turn, handle.params, handle)

    def is_behind(self, trial: Trial, fold: int, epoch: int, value: float) -> bool:
        """Keep the step, and say whether the trial should end. The declared settings never do: all are compared with them."""
        trial.handle.report(value, fold * _STEPS_OF_A_FOLD + epoch)
        return trial.turn > 0 and trial.handle.should_prune()

    def done(self, trial: Trial, value: float) -> None:
        """It came to its end."""
        self._study.tell(trial.handle, value)

    def pruned(self, trial: Trial) -> None:
        """It was behind."""
        from optuna.trial import TrialState

        self._study.tell(trial.handle, state=TrialState.PRUNED)

    def failed(self, trial: Trial, reason: str) -> None:
        """Its settings cannot be trained. The declared ones are tried again by the next search: without them nothing compares."""
        if trial.turn > 0:
            trial.handle.set_user_attr(_REASON, reason)
        self.interrupted(trial)

    def interrupted(self, trial: Trial) -> None:
        """It was ended from outside; its turn is open again."""
        from optuna.trial import TrialState

        self._study.tell(trial.handle, state=TrialState.FAIL)

    def died(self, trial: Trial, code: int | None) -> bool:
        """Its worker was killed, with exit code `code`. Whether that was too often to try it again."""
        trial.handle.set_user_attr(_DIED, code)
        before = [each for each in self._of_turn(trial.turn) if _DIED in each.user_attrs]
        if len(before) < _MOST_DEATHS:
            self.interrupted(trial)
            return False
        self.failed(trial, "search-interrupted")
        return True

    def value_of(self, settings: Settings) -> float | None:
        """What the same settings gave before: a training depends on them and the rows alone."""
        found = (each.value for each in self.trials() if each.state == "done" and same(each.settings, settings))
        return next(found, None)

    def trials(self) -> tuple[Tried, ...]:
        """Every trial that is there, by its turn, those that were interrupted too."""
        found = [
            Tried(
                each.user_attrs.get(_TURN, -1),
                _state(each),
                each.value if each.state.name == "COMPLETE" else None,
                dict(each.params),
                str(each.user_attrs.get(_REASON, "")),
                str(each.user_attrs.get(_RUN, "")),
            )
            for each in self._study.get_trials(deepcopy=False)
        ]
        return tuple(sorted((each for each in found if each.turn >= 0), key=lambda each: each.turn))

    def best(self) -> Tried | None:
        """The best that came to its end; of equal ones the first."""
        done = [each for each in self.trials() if each.value is not None]
        sign = 1 if self._search.goal == "minimize" else -1
        return min(done, key=lambda each: sign * (each.value or 0.0), default=None)

    def importances(self) -> dict[str, float] | None:
        """How much of the difference between trials each setting makes, 1 together; None if too few tell anything."""
        from optuna.importance import get_param_importances

        values = [each.value for each in self.trials() if each.value is not None]
        if len(values) < _FEWEST_FOR_IMPORTANCE or len(set(values)) == 1 or len(self._distributions) == 1:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is a guess from few trials is said where it is shown
            found = get_param_importances(self._study)
        return {name: float(value) for name, value in found.items()}

    def _known(self, turn: int) -> Settings | None:
        """The settings of a turn that is not for the sampler to choose: it was begun before, or they are declared."""
        if turn < len(self._fixed):
            return self._fixed[turn]
        before = [each.params for each in self._of_turn(turn) if each.params.keys() == self._distributions.keys()]
        return before[-1] if before else None

    def _of_turn(self, turn: int) -> list["optuna.trial.FrozenTrial"]:
        return [each for each in self._study.get_trials(deepcopy=False) if each.user_attrs.get(_TURN) == turn]

    def _close_interrupted(self) -> None:
        from optuna.trial import TrialState

        for _ in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self._study.ask()
        for each in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(each.number, state=TrialState.FAIL)


_STATES: Final[Mapping[str, State]] = {
    "COMPLETE": "done",
    "PRUNED": "pruned",
    "RUNNING": "running",
    "WAITING": "running",
}


def _state(trial: "optuna.trial.FrozenTrial") -> State:
    return _STATES.get(trial.state.name) or ("failed" if _REASON in trial.user_attrs else "interrupted")


def settled(trials: Sequence[Tried]) -> dict[State, int]:
    """How many turns ended how, those that were interrupted and tried again once."""
    return {state: sum(each.state == state for each in trials) for state in ("done", "pruned", "failed")}
