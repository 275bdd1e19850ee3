"""A search that makes no sense is refused where it is declared, and says what is wrong."""

import dataclasses
from typing import Any

import pytest
from aviation.team import DEPARTURE_DELAY
from sklearn.linear_model import LogisticRegression

from formats.errors import DeclarationError
from platform_assets.datasets.splits import GroupedSplit
from platform_assets.team import Model
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.sklearn_trainer import SklearnTrainer
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.settings import declared_settings, nested, searchable, tried
from platform_assets.tuning.spec import Domain, OneOf, Real, Search, Whole, same

BOOSTING = LightGBMTrainer()
LINEAR = SklearnTrainer(LogisticRegression, {"C": 0.5, "max_iter": 300, "class_weight": None})
LEAVES: dict[str, Domain] = {"leaves": Whole(15, 63)}


def model(trainer: Trainer, search: Search) -> Model:
    return dataclasses.replace(DEPARTURE_DELAY, trainer=trainer, search=search)


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Whole(1, 7, step=3), (1, 4, 7)),
        (Real(0.1, 0.4, step=0.1), (0.1, 0.2, 0.3, 0.4)),
        (Real(0.1, 0.4), None),
        (OneOf(("a", True, 1, 1.0)), ("a", True, 1, 1.0)),
    ],
)
def test_a_domain_holds_its_values_and_no_others(domain: Domain, values: tuple[Any, ...] | None) -> None:
    assert domain.values == values
    assert all(domain.holds(value) for value in (*(values or ()), *domain.ends))
    assert not any(domain.holds(value) for value in (0, 0.05, 8, 0.5, "b", None, False))


@pytest.mark.parametrize("value", [2, 4.0, True, "4"])
def test_a_whole_number_is_no_other_kind_of_value(value: object) -> None:
    assert not Whole(1, 7, step=3).holds(value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Whole(5, 5), "low must be below high"),
        (lambda: Whole(1, 10, step=2), "whole steps must lead to high"),
        (lambda: Whole(0, 10, log=True), "log needs numbers above 0"),
        (lambda: Real(0.0, 1.0, log=True), "log needs numbers above 0"),
        (lambda: Real(0.0, 1.0, step=0.3), "whole steps must lead to high"),
        (lambda: Real(0.0, float("inf")), "low must be below high"),
        (lambda: OneOf((1, 1)), "two values or more, each once"),
        (lambda: Search({}), "space is empty"),
        (lambda: Search(LEAVES, trials=1), "trials is 1 and must be at least 2"),
        (lambda: Search(LEAVES, workers=0), "workers is 0 and must be at least 1"),
        (lambda: Search(LEAVES, sampler="best"), "sampler is 'best'"),  # type: ignore[arg-type]
        (lambda: Search(LEAVES, measure="profit"), "direction must say"),
        (lambda: Search(LEAVES, measure="validation_auc", direction="minimize"), "better the other way"),
        (lambda: Search({"l1": Real(0, 1)}, sampler="grid"), "a grid needs a step for l1"),
        (lambda: Search(LEAVES, sampler="grid", trials=10), "the grid has 49 points, and trials is 10"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, told: str) -> None:
    with pytest.raises(DeclarationError, match=told) as caught:
        make()
    assert caught.value.code == "declaration-invalid"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"leafs": Whole(15, 63)}, "varies leafs, which lightgbm does not have"),
        ({"seed": Whole(0, 9)}, "varies seed: the best of several draws is luck"),
        ({"refit": OneOf((True, False))}, "before any refit"),
        ({"leaves": Whole(40, 63)}, "declared value 31 is not"),
        ({"leaves": Real(15, 63)}, "declared value 31 is not"),
        ({"leaves": Whole(1, 63)}, "would try leaves = 1, and .* must be at least 2"),
        ({"row_share": Real(0.5, 1.5)}, "would try row_share = 1.5"),
    ],
)
def test_a_search_that_the_trainer_cannot_do_is_refused(space: dict[str, Domain], told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        model(BOOSTING, Search(space))


def test_a_split_that_does_not_fit_the_rows_is_refused() -> None:
    with pytest.raises(DeclarationError, match="goes by \\['colour'\\]"):
        model(BOOSTING, Search(LEAVES, split=GroupedSplit(("colour",))))


def test_a_trial_is_the_declared_trainer_with_its_settings() -> None:
    space: dict[str, Domain] = {"parameters.C": Real(0.1, 10.0, log=True), "parameters.max_iter": OneOf((300, 600))}
    search = Search(space)
    assert model(LINEAR, search).search is search
    assert declared_settings(LINEAR, search) == {"parameters.C": 0.5, "parameters.max_iter": 300}
    assert nested({"parameters.C": 2.0, "threads": 1}) == {"parameters": {"C": 2.0}, "threads": 1}
    other: Any = tried(LINEAR, {"parameters.C": 2.0})
    assert other == dataclasses.replace(LINEAR, parameters={"C": 2.0, "max_iter": 300, "class_weight": None})
    assert tried(LINEAR, declared_settings(LINEAR, search)) == LINEAR
    assert "parameters.class_weight" not in searchable(LINEAR)


def test_a_grid_is_every_combination() -> None:
    space: dict[str, Domain] = {"leaves": Whole(7, 31, step=12), "refit": OneOf((True, False))}
    search = Search(space, sampler="grid", trials=6)
    assert [tuple(point.values()) for point in search.grid] == [
        (7, True),
        (7, False),
        (19, True),
        (19, False),
        (31, True),
        (31, False),
    ]


def test_settings_are_the_same_up_to_rounding_and_never_across_kinds() -> None:
    assert same({"a": 0.1 + 0.2, "b": "x"}, {"a": 0.3, "b": "x"})
    assert not same({"a": 1}, {"a": 1.0})
    assert not same({"a": 1}, {"a": True})
    assert not same({"a": 1}, {"b": 1})


def test_the_measure_says_which_way_is_better() -> None:
    assert Search(LEAVES).goal == "minimize"
    assert Search(LEAVES, measure="validation_auc").goal == "maximize"
    assert Search(LEAVES, measure="profit", direction="maximize").goal == "maximize"
