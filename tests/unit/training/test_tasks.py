"""Training for several classes and for numbers: what is learnt, what the graph says, and what needs no model at all."""

import numpy as np
import onnxruntime
import polars as pl
import pytest

from formats.errors import DataError
from formats.task import BINARY, Multiclass, Regression, Task
from platform_assets import linear_network
from platform_assets.answers import answer_columns, distance, encoded, sound_answers
from platform_assets.training.baselines import base_rate, gradient_boosting, group_rate
from platform_assets.training.spec import TorchTrainer, TrainingData

CLASSES = Multiclass(("low", "middle", "high"))
ROWS = 1500


def data(task: Task, seed: int) -> TrainingData:
    """A number and a text that decide the answer but for some noise."""
    chance = np.random.default_rng(seed)
    size, place = chance.normal(size=ROWS), chance.choice(["north", "south"], ROWS)
    value = 3 * size + 2 * (place == "north") + chance.normal(0, 0.3, ROWS)
    named = np.select([value < -1, value < 2], CLASSES.classes[:2], CLASSES.classes[2])
    label = named if isinstance(task, Multiclass) else 100 + 10 * value
    frame = pl.DataFrame({"size": size, "place": place, "label": label})
    return TrainingData.of(frame, "label", ["size"], {"place": ("north", "south")}, task=task)


@pytest.mark.parametrize(("task", "output"), [(CLASSES, "probabilities"), (Regression(), "value")])
def test_a_network_learns_the_task_and_its_graph_says_the_same(task: Task, output: str) -> None:
    rate = 0.05 if task is CLASSES else 0.5
    trainer = TorchTrainer(linear_network, epochs=20, batch_size=128, learning_rate=rate, weight_decay=0.0, patience=20)
    if isinstance(task, Regression):
        trainer = TorchTrainer(
            linear_network, epochs=40, batch_size=64, learning_rate=2.0, weight_decay=0.0, patience=40
        )
    judged = data(task, 2)
    trained = trainer.fit(data(task, 0), data(task, 1))
    answer = trained.predict(judged.features).astype(float)
    error = distance(base_rate(judged, judged), answer)
    assert np.isfinite(error).all()
    assert sound_answers(answer, task).all()
    if isinstance(task, Multiclass):
        assert (answer.argmax(axis=1) == judged.label).mean() > 0.9
        assert set(trained.curves) == {"training_loss", "validation_loss", "validation_accuracy"}
    else:
        assert np.abs(answer - judged.label).mean() < 0.2 * judged.label.std()
    session = onnxruntime.InferenceSession(trained.onnx)
    feed = {"numeric": judged.numbers(), "categorical": judged.texts()}
    (served,) = session.run([output], feed)
    assert distance(served, answer).max() < 1e-4 * max(1.0, np.abs(answer).max())


def test_untrained_the_linear_network_says_the_rates_or_the_mean() -> None:
    import torch

    for task in (CLASSES, Regression()):
        training = data(task, 0)
        network = linear_network(training)
        with torch.no_grad():
            output = network(torch.from_numpy(training.numbers()), torch.from_numpy(training.indices()))
        if isinstance(task, Multiclass):
            rates = np.bincount(training.label.astype(int), minlength=3) / ROWS
            assert output.softmax(dim=1).numpy() == pytest.approx(np.tile(rates, (ROWS, 1)), abs=1e-5)
        else:
            assert output.numpy() == pytest.approx(training.label.mean(), rel=1e-5)


def test_weights_count_for_every_task() -> None:
    import torch

    from platform_assets.training.objectives import objective_of

    output, label = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, 0.0])
    loss = objective_of(Multiclass(("a", "b"))).loss
    assert loss(output, label, torch.tensor([2.0, 0.0])).item() == pytest.approx(
        loss(output[:1], label[:1], None).item()
    )
    squared = objective_of(Regression()).loss(torch.tensor([1.0, 5.0]), label, torch.tensor([2.0, 0.0]))
    assert squared.item() == pytest.approx(1.0)


def test_baselines_answer_as_the_task_has_it() -> None:
    classes, numbers = data(CLASSES, 0), data(Regression(), 0)
    rates = base_rate(classes, classes)
    assert rates.shape == (ROWS, 3)
    assert rates.sum(axis=1) == pytest.approx(1.0)
    grouped = group_rate(classes, classes, [pl.col("place")])
    assert len(np.unique(grouped.round(9), axis=0)) == 2
    assert grouped.sum(axis=1) == pytest.approx(1.0)
    assert base_rate(numbers, numbers) == pytest.approx(numbers.label.mean(), rel=1e-6)
    by_place = group_rate(numbers, numbers, [pl.col("place")], smoothing=0.0)
    north = (numbers.features["place"] == "north").to_numpy()
    assert by_place[north] == pytest.approx(numbers.label[north].mean(), rel=1e-5)


def test_boosting_gives_each_declared_class_a_column_although_one_never_came() -> None:
    rows = data(CLASSES, 0)
    held = rows.label != 1
    seen = TrainingData(
        rows.features.filter(pl.Series(held)), rows.label[held], rows.numeric, rows.categorical, task=CLASSES
    )
    forecast = gradient_boosting(seen, rows)
    assert forecast.shape == (ROWS, 3)
    assert (forecast[:, 1] == 0).all()
    assert sound_answers(forecast, CLASSES).all()
    values = gradient_boosting(data(Regression(), 0), data(Regression(), 1))
    assert np.abs(values - data(Regression(), 1).label).mean() < 6


@pytest.mark.parametrize(
    ("labels", "task", "found"),
    [
        (pl.Series("y", [3, 1, 2]), Multiclass(("1", "2", "3")), [2.0, 0.0, 1.0]),
        (pl.Series("y", ["b", "a"]), Multiclass(("a", "b")), [1.0, 0.0]),
        (pl.Series("y", [True, False]), BINARY, [1.0, 0.0]),
        (pl.Series("y", [-2, 7]), Regression(), [-2.0, 7.0]),
    ],
)
def test_labels_become_numbers(labels: pl.Series, task: Task, found: list[float]) -> None:
    assert encoded(labels, task).tolist() == found


@pytest.mark.parametrize(
    ("labels", "task", "told"),
    [
        (
            pl.Series("y", ["a", "c", None]),
            Multiclass(("a", "b")),
            "2 of 3 rows have no outcome among the declared classes",
        ),
        (pl.Series("y", [0, 2]), BINARY, "1 of 2 rows have no outcome of 0 or 1 in 'y'"),
        (pl.Series("y", [1.0, float("nan"), None]), Regression(), "2 of 3 rows have no outcome that is a number"),
        (pl.Series("y", [], dtype=pl.Float64), Regression(), "0 of 0 rows"),
    ],
)
def test_a_label_that_is_none_of_the_tasks_is_refused(labels: pl.Series, task: Task, told: str) -> None:
    with pytest.raises(DataError, match=told):
        encoded(labels, task)


def test_answers_become_columns() -> None:
    answers = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    table = pl.DataFrame(answer_columns(answers, CLASSES))
    assert table.rows() == [("high", 0.7, [0.1, 0.2, 0.7]), ("low", 0.5, [0.5, 0.3, 0.2])]
    assert pl.DataFrame(answer_columns(np.empty((0, 3)), CLASSES)).schema == table.schema
    assert pl.DataFrame(answer_columns(np.array([4.5]), Regression())).rows() == [(4.5,)]
