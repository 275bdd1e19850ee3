"""The graph that is served answers as the framework does, whatever comes in, and holds no trace of where it was made."""

import importlib.util
import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import polars as pl
import pytest
import torch

from formats.errors import DeclarationError
from platform_assets.training import torch_trainer
from platform_assets.training.metrics import log_loss
from platform_assets.training.onnx_export import export_onnx
from platform_assets.training.spec import TorchTrainer, TrainedModel, TrainingData, vocabulary

NUMERIC = ("wind", "delay")
WORDS = {"carrier": ("AA", "B6", "UA"), "origin": ("EWR", "JFK")}


class Small(torch.nn.Module):
    """Mean-imputed numbers and embeddings into one hidden layer."""

    mean: torch.Tensor

    def __init__(self, mean: torch.Tensor, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.names = torch.nn.ModuleList([torch.nn.Embedding(size, 3) for size in sizes])
        self.inner = torch.nn.Linear(len(mean) + 3 * len(sizes), 8)
        self.drop = torch.nn.Dropout(0.5)
        self.outer = torch.nn.Linear(8, 1)

    def forward(self, numeric: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        filled = torch.where(torch.isnan(numeric), self.mean, numeric)
        names = [embed(indices[:, column]) for column, embed in enumerate(self.names)]
        hidden = torch.relu(self.inner(torch.cat([filled, *names], dim=1)))
        return self.outer(self.drop(hidden))[:, 0]


def build(training: TrainingData) -> torch.nn.Module:
    mean = torch.from_numpy(np.nanmean(training.numbers(), axis=0))
    return Small(mean, training.sizes)


def examples(rows: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    carrier = random.choice(np.array(["AA", "B6", "UA", "new", None], object), rows, p=[0.3, 0.3, 0.3, 0.05, 0.05])
    wind = random.normal(10, 5, rows)
    late = random.random(rows) < np.where(carrier == "UA", 0.7, 0.2)
    wind[random.random(rows) < 0.1] = np.nan
    frame = {"wind": wind, "delay": random.normal(0, 30, rows), "carrier": carrier, "late": late}
    origin = random.choice(["EWR", "JFK"], rows)
    table = pl.DataFrame({**frame, "origin": origin, "at": np.arange(rows)}, strict=False)
    return table.with_columns(pl.col("wind").fill_nan(None))


def trained(**changes: Any) -> tuple[TrainedModel, TrainingData]:
    early, tail = (TrainingData.of(part, "late", NUMERIC, WORDS) for part in (examples(2_000), examples(500, 1)))
    trainer = TorchTrainer(build=build, **{"epochs": 3, "batch_size": 128, "learning_rate": 0.01, **changes})
    return trainer.fit(early, tail), early


@pytest.fixture(scope="module")
def model() -> tuple[TrainedModel, TrainingData]:
    return trained()


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the export, which takes seconds, where only the training is looked at."""
    monkeypatch.setattr(torch_trainer, "export_onnx", lambda *_: b"")


def served(graph: bytes, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"numeric": numeric, "categorical": categorical})
    return np.asarray(answer)


@pytest.mark.parametrize("rows", [1, 8, 1000])
def test_the_graph_answers_as_torch_does(model: tuple[TrainedModel, TrainingData], rows: int) -> None:
    made, data = model
    frame = examples(rows, seed=rows).with_columns(wind=pl.when(pl.col("at") == 0).then(None).otherwise("wind"))
    answer = served(made.onnx, data.numbers(frame), data.texts(frame))
    assert answer.shape == (rows,)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, made.predict(frame), atol=1e-5)


def test_what_was_never_seen_is_the_unknown(model: tuple[TrainedModel, TrainingData]) -> None:
    made, _ = model
    numbers = np.full((3, 2), np.nan, np.float32)
    names = np.array([["never", "EWR"], ["", "EWR"], ["AA", "EWR"]], object)
    first, second, known = served(made.onnx, numbers, names)
    assert first == second != known
    assert np.isfinite([first, known]).all()


def test_the_graph_has_the_two_inputs_and_the_output_of_the_format(model: tuple[TrainedModel, TrainingData]) -> None:
    graph = onnx.load_from_string(model[0].onnx)
    assert [tensor.name for tensor in graph.graph.input] == ["numeric", "categorical"]
    assert [tensor.name for tensor in graph.graph.output] == ["probability"]
    assert {(o.domain, o.version) for o in graph.opset_import} == {("", 20), ("ai.onnx.ml", 3)}


def graph_of_checkout(folder: Path) -> bytes:
    """Export the same module from source that lies in `folder`."""
    folder.mkdir()
    source = folder / "team_network.py"
    source.write_text("import torch\n\n\n" + inspect.getsource(Small))
    spec = importlib.util.spec_from_file_location("team_network", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return export_onnx(module.Small(torch.zeros(2), (4, 3)), 2, list(WORDS.values()))


def test_two_checkouts_in_two_folders_give_the_same_bytes(tmp_path: Path) -> None:
    assert graph_of_checkout(tmp_path / "first") == graph_of_checkout(tmp_path / "second")


def test_another_fit_gives_the_same_bytes(model: tuple[TrainedModel, TrainingData]) -> None:
    again, _ = trained()
    assert again.onnx == model[0].onnx
    assert again.curves == model[0].curves


def test_the_bytes_name_no_file(model: tuple[TrainedModel, TrainingData]) -> None:
    assert b".py" not in model[0].onnx
    assert str(Path(__file__).parent).encode() not in model[0].onnx
    assert os.fsencode(Path.cwd()) not in model[0].onnx


def test_another_seed_gives_other_bytes(model: tuple[TrainedModel, TrainingData]) -> None:
    assert trained(seed=1)[0].onnx != model[0].onnx


@pytest.mark.usefixtures("no_export")
def test_training_leaves_torch_as_it_was() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    trained(epochs=1, threads=2)
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("no_export")
def test_training_stops_when_validation_gets_worse_and_keeps_the_best() -> None:
    seen: list[int] = []
    early, tail = (TrainingData.of(examples(300, seed), "late", NUMERIC, WORDS) for seed in (0, 1))
    trainer = TorchTrainer(build=build, epochs=60, batch_size=16, learning_rate=0.5, patience=2, refit=False)
    made = trainer.fit(early, tail, lambda epoch, _: seen.append(epoch))
    losses = made.curves["validation_loss"]
    best = int(np.argmin(losses))
    assert made.parameters["best_epoch"] == best
    assert len(losses) == len(seen) == best + 3 < 60
    assert log_loss(tail.label, made.predict(tail.features)) == pytest.approx(losses[best])


@pytest.mark.usefixtures("no_export")
def test_a_refit_learns_from_the_validation_part_too() -> None:
    early, tail = (TrainingData.of(examples(300, seed), "late", NUMERIC, WORDS) for seed in (0, 1))
    other = TrainingData.of(examples(300, 2), "late", NUMERIC, WORDS)
    for refit in (False, True):
        trainer = TorchTrainer(build=build, epochs=1, refit=refit)
        first, second = (trainer.fit(early, later).predict(early.features) for later in (tail, other))
        assert np.array_equal(first, second) != refit


def test_a_model_of_numbers_alone_keeps_both_inputs() -> None:
    torch.manual_seed(0)
    graph = export_onnx(Small(torch.zeros(2), ()), 2, [])
    answer = served(graph, np.zeros((4, 2), np.float32), np.empty((4, 0), object))
    assert answer.shape == (4,)


def test_a_model_without_numbers_is_refused() -> None:
    with pytest.raises(DeclarationError, match="numeric"):
        export_onnx(Small(torch.zeros(0), (4,)), 0, [["a", "b", "c"]])


def test_a_vocabulary_is_sorted_and_has_no_missing_value() -> None:
    assert vocabulary(examples(500), ["carrier"]) == {"carrier": ("AA", "B6", "UA", "new")}
