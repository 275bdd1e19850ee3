"""The network reads digits, by the team's own declaration."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from vision.network import build
from vision.sources import read_readings, read_scans
from vision.team import DIGITS, WRITTEN

from platform_assets.datasets.parts import examples
from platform_assets.promotion.inference import load_model
from platform_assets.training.folds import training_data
from platform_assets.training.spec import TrainedModel, TrainingData
from resources.bundle_store import FileBundleStore

JANUARY, FEBRUARY, MARCH = (datetime(2013, month, 1, tzinfo=UTC) for month in (1, 2, 3))
CONTRACT = WRITTEN.contract("vision", "digits")


def rows(start: datetime, end: datetime):  # noqa: ANN201
    scans, readings = read_scans(start, end).collect(), read_readings(JANUARY, MARCH).collect()
    return scans.join(readings.drop("read_at"), on="scan", maintain_order="left")


def fit(seed: int, **changes: object) -> TrainedModel:
    """As the model asset trains, on January."""
    parts = examples(WRITTEN, rows(JANUARY, FEBRUARY))[-1]
    training, validation, everything = (training_data(CONTRACT, "digit", part) for part in parts)
    return replace(DIGITS.trainer, seed=seed, **changes).fit(training, validation, everything=everything)


def test_it_takes_images_and_gives_a_logit_a_class_also_for_a_blank_one() -> None:
    import torch

    training = TrainingData.of(
        rows(FEBRUARY, MARCH), "digit", ["image"], {}, task=CONTRACT.task, shapes=CONTRACT.shapes
    )
    module = build(training).eval()
    numbers = torch.from_numpy(training.numbers()[:3])
    numbers[1] = torch.nan
    numbers[2] = 0
    found = module(numbers, torch.empty(3, 0, dtype=torch.int64))
    assert found.shape == (3, 10)
    assert torch.equal(found[1], found[2])


def test_the_same_seed_gives_the_same_bundle_and_the_graph_answers_as_torch(tmp_path) -> None:  # noqa: ANN001
    first, second = fit(0, epochs=1), fit(0, epochs=1)
    assert first.onnx == second.onnx
    assert first.inputs[:9] == (*(f"image[0][{column}]" for column in range(8)), "image[1][0]")
    store, judged = FileBundleStore(tmp_path), rows(FEBRUARY, MARCH)
    payload = {"model.onnx": first.onnx, "contract.json": msgspec.json.encode(CONTRACT)}
    payload |= {"profile.json": b"{}", "example.json": b"{}"}
    served = load_model(store.open(store.put(payload))).predict(judged)
    assert np.abs(served - first.predict(judged)).max() < 1e-5


@pytest.mark.slow
def test_of_the_held_out_fifth_99_of_100_are_read_rightly() -> None:
    """The mean of three seeds."""
    judged = rows(FEBRUARY, MARCH)
    shares = []
    for seed in range(3):
        answers = fit(seed).predict(judged).argmax(axis=1)
        shares.append((answers == judged["digit"].cast(int).to_numpy()).mean())
    assert np.mean(shares) >= 0.99, shares
    assert min(shares) >= 0.98, shares
