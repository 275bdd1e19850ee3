"""Every trainer learns from tensors as from the numbers that they are made of, and a bundle is made of them."""

import json
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from formats.canonical import canonical_json
from formats.task import BINARY
from platform_assets.monitoring.profiles import profile_of, psi
from platform_assets.promotion.inference import load_model
from platform_assets.tensors import element_names, unrolled
from platform_assets.training.baselines import gradient_boosting
from platform_assets.training.build import example_row
from platform_assets.training.folds import training_data
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.networks import linear_network
from platform_assets.training.parity import parity
from platform_assets.training.spec import TorchTrainer, TrainingData
from platform_assets.training.transforms import Impute, Scale, SelectBest
from resources.bundle_store import FileBundleStore
from tests.support.tensor_world import CONTRACT, IMAGE, SHAPE, rows

LABEL = "late"
SEEN, JUDGED = rows(400, 1, late=False), rows(200, 2, late=True)
NAMES = ("warmth", *element_names("image", SHAPE), "hour")
LEARNT = msgspec.structs.replace(
    CONTRACT,
    columns=tuple(msgspec.structs.replace(c, allowed=("A",)) if c.name == "maker" else c for c in CONTRACT.columns),
)
LINEAR = TorchTrainer(linear_network, epochs=3, batch_size=64)
TRAINERS = {
    "prepared": TorchTrainer(
        linear_network, transforms=(Impute(), Scale(), SelectBest(count=4, by="f_score")), epochs=3, batch_size=64
    ),
    "boosting": LightGBMTrainer(rounds=10),
}


def tensors(frame: pl.DataFrame) -> TrainingData:
    return training_data(LEARNT, LABEL, frame)


def flat(frame: pl.DataFrame) -> TrainingData:
    """The same examples with a column an element."""
    return TrainingData.of(unrolled(frame, CONTRACT.shapes), LABEL, NAMES, {"maker": ("A",)}, task=BINARY)


def test_the_numbers_are_those_of_the_elements() -> None:
    assert tensors(SEEN).width == len(NAMES)
    assert tensors(SEEN).numbers_by_name == NAMES
    assert np.array_equal(tensors(SEEN).numbers(), flat(SEEN).numbers())


@pytest.mark.parametrize("name", TRAINERS)
def test_a_model_of_tensors_is_the_model_of_its_elements(name: str) -> None:
    trainer: Any = TRAINERS[name]
    found = trainer.fit(tensors(SEEN), tensors(JUDGED))
    wanted = trainer.fit(flat(SEEN), flat(JUDGED))
    assert found.onnx == wanted.onnx
    assert found.inputs == wanted.inputs
    assert np.array_equal(found.predict(JUDGED), wanted.predict(unrolled(JUDGED, CONTRACT.shapes)))


def test_the_boosting_that_a_model_must_beat_sees_the_elements() -> None:
    assert np.array_equal(
        gradient_boosting(tensors(SEEN), tensors(JUDGED)), gradient_boosting(flat(SEEN), flat(JUDGED))
    )


def test_graph_and_framework_agree_also_where_a_tensor_is_missing(tmp_path: Any) -> None:
    found = LINEAR.fit(tensors(SEEN), tensors(JUDGED))
    store = FileBundleStore(tmp_path)
    payload = {
        "model.onnx": found.onnx,
        "contract.json": msgspec.json.encode(LEARNT),
        "profile.json": b"{}",
        "example.json": b"{}",
    }
    served = load_model(store.open(store.put(payload)))
    compared = parity(LEARNT, JUDGED, served.predict, found.predict)
    assert (compared.rows, compared.largest < 1e-5) == (2 * JUDGED.height, True)


def test_the_profile_of_a_tensor_is_that_of_its_elements() -> None:
    profile = profile_of(SEEN, ["image", "hour"])
    assert sum(profile.columns["image"].counts) == SEEN.height * 6  # type: ignore[arg-type]
    darker = JUDGED.with_columns(image=pl.col("image").list.eval(pl.element().list.eval(pl.element() * 0.4)))
    assert psi(profile, JUDGED)["image"] < 0.05
    assert psi(profile, darker)["image"] > 0.25


def test_an_example_has_nothing_personal_of_an_image() -> None:
    assert example_row(CONTRACT, SEEN)["image"].to_list() == SEEN["image"].head(1).to_list()
    personal = msgspec.structs.replace(
        CONTRACT,
        columns=tuple(
            msgspec.structs.replace(c, classification="personal") if c is IMAGE else c for c in CONTRACT.columns
        ),
    )
    (image,) = json.loads(canonical_json(example_row(personal, SEEN)["image"].to_list()))
    assert (np.shape(image), np.unique(image).size) == (SHAPE, 1)
    assert 7 < image[0][0] < 9
