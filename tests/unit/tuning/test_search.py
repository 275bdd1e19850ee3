"""Trials are trained, told and ended, whatever becomes of them: here, in other processes, killed, interrupted, behind."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from formats.errors import DeclarationError, TrainingError
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.spec import TrainedModel, TrainingData
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.objective import Fold, Step, Stopped, measured
from platform_assets.tuning.plots import best_so_far, history_plot, importance_plot
from platform_assets.tuning.search import Asked, Told, run_trials
from platform_assets.tuning.settings import declared_settings
from platform_assets.tuning.spec import OneOf, Real, Search, Whole
from platform_assets.tuning.study import Tried, opened, settled
from tests.support.searched import ALWAYS, ONCE, Runs, Slope, bowl, folds, search, trainer


class Searched:
    """A search in a folder, which can be run again; `trials` of its last run, the log's lines and MLflow runs of all."""

    def __init__(self, place: Path, asked: Search, of: Trainer | None = None, on: Sequence[Fold] | None = None) -> None:
        self.file, self.search = place / "trials.journal", asked
        self.trainer: Trainer = of or trainer(place)
        self.folds = on or folds()
        self.runs, self.lines = Runs(), list[str]()
        self.trials: tuple[Tried, ...] = ()
        self.stop_after: int | None = None

    def log(self, line: str) -> None:
        self.lines.append(line)
        if len(self.lines) == self.stop_after:
            raise KeyboardInterrupt

    def run(self) -> None:
        declared = declared_settings(self.trainer, self.search)
        with opened(self.file, self.search, declared) as study:
            try:
                run_trials(Asked(self.trainer, self.search, self.folds), study, Told(self.runs, self.log))
            finally:
                self.trials = study.trials()

    @property
    def told(self) -> list[tuple[Any, ...]]:
        """Trials by what they tried and what came of it, of whatever MLflow run."""
        return [(each.turn, each.state, each.value, each.settings, each.reason) for each in self.ended]

    @property
    def ended(self) -> list[Tried]:
        return [each for each in self.trials if each.state != "interrupted"]


def test_every_trial_is_told_with_its_settings_steps_and_end(tmp_path: Path) -> None:
    searched = Searched(tmp_path, search())
    searched.run()
    states = settled(searched.trials)
    assert sum(states.values()) == len(searched.trials) == 12
    assert states["done"] > 5
    assert states["failed"] > 0
    first = searched.trials[0]
    assert first.settings == {"config.x": 1.0, "config.kind": "plain"}
    # The mean over both folds, which are of 60 and 61 rows.
    assert first.value == pytest.approx(9.0 + (1 / 60 + 1 / 61) / 2)
    by_run = {child.id: child for child in searched.runs.children}
    for each in searched.trials:
        child = by_run[each.run]
        assert (child.name, child.tags) == (f"trial {each.turn + 1}", {"turn": str(each.turn)})
        assert child.settings == each.settings
        assert (child.state, child.value) == (each.state, each.value)
        assert child.status == ("FAILED" if each.state == "failed" else "FINISHED")
        assert len(child.steps) == (0 if each.state == "failed" else 2)
    assert len(searched.lines) == 12
    assert searched.lines[0].startswith("trial 1 of 12 (config.x 1, config.kind plain): validation_loss 9.0")


def test_what_a_failed_trial_leaves_in_the_file_quotes_no_row(tmp_path: Path) -> None:
    searched = Searched(tmp_path, search(trials=16, sampler="random"))
    searched.run()
    reasons = {each.reason for each in searched.trials if each.state == "failed"}
    assert reasons == {"training-diverged", "ValueError"}
    assert any("P-1003 is no number" in line for line in searched.lines), "the log says all"
    assert "P-1003" not in searched.file.read_text()


def test_a_finished_search_does_nothing_again(tmp_path: Path) -> None:
    searched = Searched(tmp_path, search())
    searched.run()
    trials, children, content = searched.trials, len(searched.runs.children), searched.file.read_bytes()
    searched.run()
    assert searched.trials == trials
    assert len(searched.runs.children) == children
    assert searched.file.read_bytes() == content


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_worker_with_the_same_seed_tries_the_same_wherever_it_is_interrupted(tmp_path: Path, sampler: str) -> None:
    whole, parts = (Searched(tmp_path / name, search(sampler=sampler)) for name in ("whole", "parts"))
    parts.trainer = whole.trainer
    whole.run()
    for stop in (2, 3, 7):
        parts.stop_after = stop
        with pytest.raises(KeyboardInterrupt):
            parts.run()
    parts.stop_after = None
    parts.run()
    assert parts.told == whole.told
    assert {child.status for child in parts.runs.children} <= {"FINISHED", "FAILED", "KILLED"}


def test_a_training_that_is_interrupted_is_tried_again(tmp_path: Path) -> None:
    class Interrupted(Slope):
        calls = 0

        def measure(self, *given: Any, **named: Any) -> Any:
            type(self).calls += 1
            if type(self).calls == 2:
                raise KeyboardInterrupt
            return super().measure(*given, **named)

    searched = Searched(tmp_path, Search({"height": Real(0.5, 2.0)}, trials=3), Interrupted(), folds(1))
    with pytest.raises(KeyboardInterrupt):
        searched.run()
    assert [each.state for each in searched.trials] == ["done", "interrupted"]
    assert [child.status for child in searched.runs.children] == ["FINISHED", "KILLED"]
    searched.run()
    assert [each.state for each in searched.trials] == ["done", "interrupted", "done", "done"]
    assert searched.trials[1].settings == searched.trials[2].settings


def test_declared_settings_that_cannot_be_trained_end_the_search_and_are_tried_again(tmp_path: Path) -> None:
    searched = Searched(tmp_path, search(trials=3), trainer(tmp_path, x=5.2))
    with pytest.raises(TrainingError, match=r"x is 5\.2"):
        searched.run()
    assert [child.status for child in searched.runs.children] == ["FAILED"]
    with pytest.raises(TrainingError, match=r"x is 5\.2"):
        searched.run()
    assert [each.state for each in searched.trials] == ["interrupted", "interrupted"]


def test_settings_that_were_tried_are_not_trained_again(tmp_path: Path) -> None:
    searched = Searched(tmp_path, Search({"config.kind": OneOf(("plain", "odd"))}, trials=8))
    searched.run()
    assert settled(searched.trials)["done"] == 8
    assert len(searched.runs.children) == 2
    assert len({each.value for each in searched.trials}) == 2
    assert sum("as before" in line for line in searched.lines) == 6


def test_a_measure_that_the_trainer_does_not_take_is_said(tmp_path: Path) -> None:
    searched = Searched(tmp_path, search(measure="profit", direction="maximize"))
    with pytest.raises(DeclarationError, match=r"(?s)by profit, which python does not measure here.*validation_auc"):
        searched.run()


def test_more_of_a_measure_can_be_better(tmp_path: Path) -> None:
    loss, area = (
        Searched(tmp_path / name, search(trials=8, sampler="random", measure=name), trainer(tmp_path))
        for name in ("validation_loss", "validation_auc")
    )
    loss.run()
    area.run()
    done = [each for each in area.trials if each.value is not None]
    least = min(loss.ended, key=lambda each: each.value or 0.0 if each.state == "done" else 1e9)
    assert max(done, key=lambda each: each.value or 0.0).turn == least.turn


def test_a_trial_that_is_behind_ends_early_and_the_declared_settings_never(tmp_path: Path) -> None:
    asked = Search(
        {"height": Real(0.0, 5.0)}, trials=12, sampler="random", pruning=True, warm_up_trials=3, warm_up_steps=2
    )
    searched = Searched(tmp_path, asked, Slope(rounds=10), folds(2))
    searched.run()
    plain = Searched(tmp_path / "plain", replace(asked, pruning=False), Slope(rounds=10), folds(2))
    plain.run()
    pruned = {each.turn for each in searched.trials if each.state == "pruned"}
    assert pruned
    assert min(pruned) >= 3
    steps = {child.tags["turn"]: len(child.steps) for child in searched.runs.children}
    assert all(3 <= steps[str(turn)] < 20 for turn in pruned)
    assert all(steps[str(each.turn)] == 20 for each in searched.trials if each.state == "done")
    assert [each.settings for each in searched.trials] == [each.settings for each in plain.trials]
    assert settled(plain.trials) == {"done": 12, "pruned": 0, "failed": 0}
    best = min(plain.trials, key=lambda each: each.value or 0.0)
    assert best.turn not in pruned


def test_a_step_counts_with_the_folds_before_it() -> None:
    steps: list[Step] = []
    value = measured(Slope(height=2.0, rounds=2), folds(2), "validation_loss", steps.append)
    assert [(step.fold, step.epoch, step.value) for step in steps] == [
        (0, 0, 3.0),
        (0, 1, 2.5),
        (1, 0, 2.75),
        (1, 1, 2.5),
    ]
    assert value == 2.5


def test_boosting_is_searched_and_ended_round_by_round(tmp_path: Path) -> None:
    asked = Search(
        {"learning_rate": Real(0.001, 0.5, log=True), "leaves": Whole(2, 8)}, trials=8, pruning=True, warm_up_trials=2
    )
    boosting = LightGBMTrainer(rounds=20, patience=20, learning_rate=0.3, least_rows=2, leaves=4)
    searched = Searched(tmp_path, asked, boosting, folds(2, 120))
    searched.run()
    again = Searched(tmp_path / "again", asked, boosting, folds(2, 120))
    again.run()
    assert searched.told == again.told
    assert settled(searched.trials)["failed"] == 0
    assert settled(searched.trials)["pruned"] > 0


def test_workers_try_what_one_would_and_end(tmp_path: Path) -> None:
    alone = Searched(tmp_path / "alone", search(sampler="random"), trainer(tmp_path))
    together = Searched(tmp_path / "together", search(sampler="random", workers=2), trainer(tmp_path))
    alone.run()
    together.run()
    assert together.told == alone.told
    assert {child.status for child in together.runs.children} == {"FINISHED", "FAILED"}
    assert together.lines != []


def test_a_worker_that_is_killed_costs_no_trial(tmp_path: Path) -> None:
    (tmp_path / ONCE).write_text("2")
    alone = Searched(tmp_path / "alone", search(sampler="random", trials=8), trainer(tmp_path / "elsewhere"))
    together = Searched(tmp_path / "together", search(sampler="random", trials=8, workers=2), trainer(tmp_path))
    alone.run()
    together.run()
    assert together.told == alone.told
    (killed,) = [each for each in together.trials if each.state == "interrupted"]
    again = next(each for each in together.ended if each.turn == killed.turn)
    assert again.settings == killed.settings
    assert any("ended with -9; tried again" in line for line in together.lines)
    assert "RUNNING" not in {child.status for child in together.runs.children}


def test_settings_that_kill_every_worker_have_failed_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / ALWAYS).write_text("4.5")
    searched = Searched(tmp_path, search(sampler="random", trials=8, workers=2))
    searched.run()
    dead = [each for each in searched.ended if float(each.settings["config.x"]) >= 4.5]
    assert dead
    assert {(each.state, each.reason) for each in dead} == {("failed", "search-interrupted")}
    assert len(searched.ended) == 8
    assert settled(searched.trials)["done"] == 8 - len(dead)


def test_declared_settings_that_kill_every_worker_end_the_search(tmp_path: Path) -> None:
    (tmp_path / ALWAYS).write_text("0")
    searched = Searched(tmp_path, search(trials=3, workers=2))
    with pytest.raises(TrainingError, match="died again: it ended with -9") as caught:
        searched.run()
    assert caught.value.code == "search-interrupted"
    assert "RUNNING" not in {child.status for child in searched.runs.children}
    (tmp_path / ALWAYS).unlink()
    searched.run()
    assert searched.ended[0].settings["config.x"] == 1.0
    assert len(searched.ended) == 3


def test_a_trainer_that_no_other_process_can_have_is_refused(tmp_path: Path) -> None:
    def inside(training: TrainingData, validation: TrainingData, config: Any, seed: int) -> TrainedModel:
        return bowl(training, validation, config, seed)

    local = FunctionTrainer(inside, {"x": 1.0, "kind": "plain", "place": str(tmp_path)})
    searched = Searched(tmp_path, search(workers=2), local)
    with pytest.raises(DeclarationError, match="2 workers need a trainer that another process can be given"):
        searched.run()
    searched.search = search(trials=2)
    searched.run()
    assert len(searched.ended) == 2


def test_workers_find_a_team_whose_folder_is_no_longer_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a run, where Dagster takes the folder away again once the team is loaded."""
    (tmp_path / "rail_far_away.py").write_text(
        "from tests.support.searched import bowl as made\n\n\ndef bowl(*given):\n    return made(*given)\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        module = importlib.import_module("rail_far_away")
    far = FunctionTrainer(module.bowl, {"x": 1.0, "kind": "plain", "place": str(tmp_path)})
    searched = Searched(tmp_path, search(trials=3, workers=2), far)
    try:
        searched.run()
    finally:
        del sys.modules[module.__name__]
    assert [each.state for each in searched.trials] == ["done"] * 3


def test_pruning_reaches_trainings_in_other_processes(tmp_path: Path) -> None:
    asked = Search({"height": Real(0.0, 5.0)}, trials=10, sampler="random", pruning=True, workers=2, warm_up_trials=2)
    searched = Searched(tmp_path, asked, Slope(rounds=10), folds(1))
    searched.run()
    assert len(searched.ended) == 10
    assert settled(searched.trials)["pruned"] > 0


def test_what_a_step_raises_ends_the_training() -> None:
    def stop(step: Step) -> None:
        if step.epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        measured(Slope(), folds(1), "validation_loss", stop)


def test_the_pictures_are_pictures(tmp_path: Path) -> None:
    searched = Searched(tmp_path, search())
    searched.run()
    for drawn in (history_plot(searched.trials, "validation_loss", "minimize"), importance_plot({"a": 0.7, "b": 0.3})):
        assert drawn.startswith("![plot](data:image/png;base64,")
    assert best_so_far([3.0, 4.0, 1.0], "minimize") == [3.0, 3.0, 1.0]
