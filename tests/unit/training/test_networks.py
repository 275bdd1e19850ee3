"""The network that the platform ships: what it computes, and that it holds with anything that a table may bring."""

import numpy as np
import polars as pl
import pytest

from platform_assets import linear_network
from platform_assets.training.metrics import roc_auc
from platform_assets.training.spec import Floats, TorchTrainer, TrainingData

ROWS = 2000


def rows(seed: int) -> tuple[pl.DataFrame, Floats]:
    """Two numbers, one of them with gaps that mean something, and a text; the label follows all three."""
    chance = np.random.default_rng(seed)
    size, place = chance.normal(1000, 50, ROWS), chance.choice(["north", "south"], ROWS)
    gap = chance.random(ROWS) < 0.2
    logit = (size - 1000) / 25 + 2 * (place == "north") + 1.5 * gap - 1
    label = chance.random(ROWS) < 1 / (1 + np.exp(-logit))
    other = [None if missing else value for missing, value in zip(gap, chance.normal(size=ROWS), strict=True)]
    return pl.DataFrame({"size": size, "other": other, "place": place}), label.astype(np.float32)


def data(seed: int) -> TrainingData:
    frame, label = rows(seed)
    return TrainingData(frame, label, ("size", "other"), {"place": ("north", "south")})


def test_it_learns_numbers_gaps_and_texts() -> None:
    later, label = rows(2)
    trainer = TorchTrainer(linear_network, epochs=6, batch_size=128, learning_rate=0.05)
    trained = trainer.fit(data(0), data(1))
    score = trained.predict(later)
    truth = (later["size"].to_numpy() - 1000) / 25 + 2 * (later["place"].to_numpy() == "north")
    truth = truth + 1.5 * later["other"].is_null().to_numpy()
    known = label.astype(bool)
    assert roc_auc(known, score) > roc_auc(known, truth) - 0.01
    assert score.mean() == pytest.approx(known.mean(), abs=0.03)


def test_untrained_it_says_the_rate() -> None:
    import torch

    training = data(0)
    network = linear_network(training)
    logits = network(torch.from_numpy(training.numbers()), torch.from_numpy(training.indices()))
    expected = training.label.mean()
    assert torch.sigmoid(logits).detach().numpy() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e38, -1e38])
def test_extremes_stay_finite(value: float) -> None:
    import torch

    frame = pl.DataFrame({"flat": [3.0, 3.0], "empty": [None, None]}, schema={"flat": pl.Float64, "empty": pl.Float64})
    network = linear_network(TrainingData(frame, np.array([0, 1], np.float32), ("flat", "empty"), {}))
    for weights in network.parameters():
        torch.nn.init.ones_(weights)
    numeric = torch.full((4, 2), value, dtype=torch.float32)
    assert torch.isfinite(network(numeric, torch.empty((4, 0), dtype=torch.int64))).all()


def test_one_class_alone_is_no_certainty() -> None:
    import torch

    frame = pl.DataFrame({"size": [1.0, 2.0]})
    network = linear_network(TrainingData(frame, np.zeros(2, np.float32), ("size",), {}))
    logits = network(torch.zeros((1, 1)), torch.empty((1, 0), dtype=torch.int64))
    assert torch.isfinite(logits).all()
