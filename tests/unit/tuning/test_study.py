"""The file of a search's trials: one process at a time, nothing lost, the same settings whoever asks."""

from pathlib import Path

import pytest

from formats.errors import TrainingError
from platform_assets.tuning.spec import OneOf, Real, Search, Settings, Whole, same
from platform_assets.tuning.study import Study, Trial, opened, settled

DECLARED: Settings = {"x": 1.0, "depth": 3, "kind": "plain"}
SPACE = {"x": Real(0.0, 6.0), "depth": Whole(1, 5), "kind": OneOf(("plain", "odd"))}
GRID = {"x": Real(0.0, 2.0, step=0.5), "depth": Whole(1, 5, step=2), "kind": OneOf(("plain", "odd"))}


def worth(settings: Settings) -> float:
    return (float(settings["x"]) - 4) ** 2 + float(settings["depth"]) + (settings["kind"] == "odd")


def asked(study: Study) -> Trial:
    trial = study.ask()
    assert trial is not None
    return trial


def finish(study: Study, most: int = 1000) -> list[Settings]:
    """Try what is asked; the settings in their order."""
    tried: list[Settings] = []
    while len(tried) < most and (trial := study.ask()) is not None:
        study.done(trial, worth(trial.settings))
        tried.append(dict(trial.settings))
    return tried


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "searches" / "one.journal"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_declared_settings_come_first_and_all_lie_in_the_space(file: Path, sampler: str) -> None:
    search = Search(SPACE, trials=15, sampler=sampler)  # type: ignore[arg-type]
    with opened(file, search, DECLARED) as study:
        tried = finish(study)
        assert len(tried) == 15
        assert tried[0] == DECLARED
        assert all(domain.holds(settings[name]) for settings in tried for name, domain in SPACE.items())
        best = study.best()
    assert best is not None
    assert best.value == min(map(worth, tried))
    assert len({str(settings) for settings in tried}) > 10, "they differ"


def test_a_grid_is_tried_whole_and_each_point_once(file: Path) -> None:
    with opened(file, Search(GRID, trials=40, sampler="grid"), DECLARED) as study:
        tried = finish(study)
    assert tried[0] == DECLARED
    assert len(tried) == 5 * 3 * 2
    assert all(
        any(same(point, settings) for settings in tried) for point in Search(GRID, trials=40, sampler="grid").grid
    )


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
@pytest.mark.parametrize("held", [1, 7])
def test_what_is_tried_does_not_depend_on_interruptions(tmp_path: Path, sampler: str, held: int) -> None:
    search = Search(GRID if sampler == "grid" else SPACE, trials=30, sampler=sampler)  # type: ignore[arg-type]
    with opened(tmp_path / "whole.journal", search, DECLARED) as study:
        whole = finish(study)
    tried: list[Settings] = []
    while len(tried) < len(whole):
        with opened(tmp_path / "parts.journal", search, DECLARED) as study:
            tried += finish(study, held)
            study.ask()  # left RUNNING, as by a kill
    assert tried == whole
    with opened(tmp_path / "parts.journal", search, DECLARED) as study:
        assert study.ask() is None
        assert settled(study.trials()) == {"done": len(whole), "pruned": 0, "failed": 0}
        assert sum(each.state == "interrupted" for each in study.trials()) >= len(whole) // held - 1


def test_other_seeds_try_other_settings(tmp_path: Path) -> None:
    tried = []
    for seed in (0, 1):
        with opened(tmp_path / f"{seed}.journal", Search(SPACE, trials=4, seed=seed), DECLARED) as study:
            tried.append(finish(study))
    assert tried[0][0] == tried[1][0]
    assert tried[0][1:] != tried[1][1:]


def test_more_trials_go_on_from_those_that_are_there(file: Path) -> None:
    with opened(file, Search(SPACE, trials=5), DECLARED) as study:
        few = finish(study)
    with opened(file, Search(SPACE, trials=8), DECLARED) as study:
        assert len(finish(study)) == 3
        assert [each.settings for each in study.trials()][:5] == few


def test_only_one_is_in_it(file: Path) -> None:
    search = Search(SPACE)
    with opened(file, search, DECLARED) as study:
        finish(study, 2)
        with pytest.raises(TrainingError, match="another run is searching") as caught, opened(file, search, DECLARED):
            pass
        assert caught.value.code == "search-running"
        assert len(finish(study, 1)) == 1, "the first goes on"
    with opened(file, search, DECLARED) as study:
        assert len(study.trials()) == 3


def test_a_line_that_was_cut_and_a_lock_that_was_left_are_no_hindrance(file: Path) -> None:
    search = Search(SPACE, trials=4)
    with opened(file, search, DECLARED) as study:
        finish(study, 2)
    with file.open("ab") as torn:
        torn.write(b'{"op_code":4,"worker_')
    file.with_name(f"{file.name}.lock").touch()
    with opened(file, search, DECLARED) as study:
        assert settled(study.trials())["done"] == 2
        assert len(finish(study)) == 2


def test_what_failed_by_itself_is_not_repeated_and_the_declared_settings_are(file: Path) -> None:
    search = Search(SPACE, trials=3)
    with opened(file, search, DECLARED) as study:
        study.failed(asked(study), "training-diverged")
        again = asked(study)
        assert (again.turn, again.settings) == (0, DECLARED)
        study.done(again, 5.0)
        study.failed(asked(study), "training-diverged")
        assert asked(study).turn == 2
    with opened(file, search, DECLARED) as study:
        assert [(each.turn, each.state, each.reason) for each in study.trials()] == [
            (0, "interrupted", ""),
            (0, "done", ""),
            (1, "failed", "training-diverged"),
            (2, "interrupted", ""),
        ]


def test_settings_whose_worker_dies_again_have_failed(file: Path) -> None:
    with opened(file, Search(SPACE, trials=3), DECLARED) as study:
        finish(study, 1)
        first = asked(study)
        assert not study.died(first, -9)
        second = asked(study)
        assert (second.turn, second.settings) == (1, first.settings)
        assert study.died(second, -9)
        assert asked(study).turn == 2
        assert [each.reason for each in study.trials() if each.state == "failed"] == ["search-interrupted"]


def test_a_trial_behind_the_median_is_told_so_after_the_warm_up(file: Path) -> None:
    search = Search(SPACE, trials=8, pruning=True, warm_up_trials=3, warm_up_steps=2)
    with opened(file, search, DECLARED) as study:
        for value in (1.0, 1.1, 1.2):
            trial = asked(study)
            assert not any(study.is_behind(trial, fold, epoch, value) for fold in (0, 1) for epoch in range(4))
            study.done(trial, value)
        slow = asked(study)
        assert [study.is_behind(slow, 0, epoch, 9.0) for epoch in range(3)] == [False, False, True]
        study.pruned(slow)
        assert study.trials()[3].state == "pruned"
        assert study.trials()[3].value is None
        fast = asked(study)
        assert not any(study.is_behind(fast, 0, epoch, 0.5) for epoch in range(4))


def test_the_declared_settings_come_to_their_end_however_bad_they_are(file: Path) -> None:
    search = Search(SPACE, trials=8, pruning=True, warm_up_trials=1, warm_up_steps=0)
    with opened(file, search, DECLARED) as study:
        declared, other = asked(study), asked(study)
        study.is_behind(other, 0, 0, 1.0)
        study.done(other, 1.0)
        assert not study.is_behind(declared, 0, 0, 9.0)
        assert study.is_behind(asked(study), 0, 0, 9.0)


def test_importances_are_told_once_there_is_enough_to_tell(file: Path) -> None:
    with opened(file, Search(SPACE, trials=25), DECLARED) as study:
        finish(study, 3)
        assert study.importances() is None
        finish(study)
        found = study.importances()
    assert found is not None
    assert {*found} == {*SPACE}
    assert sum(found.values()) == pytest.approx(1.0)
    assert max(found, key=lambda name: found[name]) == "x"


def test_equal_settings_are_worth_the_same(file: Path) -> None:
    with opened(file, Search(SPACE, trials=3), DECLARED) as study:
        finish(study, 1)
        assert study.value_of({"x": 1.0 + 1e-14, "depth": 3, "kind": "plain"}) == worth(DECLARED)
        assert study.value_of({"x": 1.1, "depth": 3, "kind": "plain"}) is None


def test_less_is_not_always_better(file: Path) -> None:
    with opened(file, Search(SPACE, trials=4, measure="validation_auc"), DECLARED) as study:
        tried = finish(study)
        best = study.best()
    assert best is not None
    assert best.value == max(map(worth, tried))
