"""The network's preprocessing travels into the graph, and takes whatever arrives."""

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest
import torch
from aviation import network

from platform_assets.training.onnx_export import export_onnx
from platform_assets.training.spec import TrainingData

WORDS = {"carrier": ("AA", "B6"), "service": tuple(f"AA{number}" for number in range(1, 1200))}


@pytest.fixture(scope="module")
def training() -> TrainingData:
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "delay": [None, *random.normal(0, 30, 499)],
            "empty": pl.Series([None] * 500, dtype=pl.Float64),
            "constant": [1.0] * 500,
            "carrier": random.choice(["AA", "B6"], 500),
            "service": [f"AA{number}" for number in random.integers(1, 1200, 500)],
            "late": random.integers(0, 2, 500),
        }
    )
    return TrainingData.of(frame, "late", ("delay", "empty", "constant"), WORDS)


def test_bins_are_quantiles_and_numbers_that_never_vary_have_none(training: TrainingData) -> None:
    schema = network.fit_schema(training)
    assert schema.column.tolist() == [0] * network.BINS
    assert (schema.width > 0).all()
    known = training.features["delay"].drop_nulls().cast(pl.Float32)
    assert schema.low[0] == known.min()
    assert schema.low[-1] + schema.width[-1] == pytest.approx(known.max(), rel=1e-6)


def test_rare_names_get_one_number(training: TrainingData) -> None:
    module = network.build(training)
    shapes = [tuple(weights.shape) for name, weights in module.named_parameters() if "table" in name]
    assert shapes == [(3, network.COMMON.width), (1200, 1)]


@pytest.fixture(scope="module")
def exported(training: TrainingData) -> tuple[torch.nn.Module, ort.InferenceSession]:
    torch.manual_seed(0)
    module = network.build(training).eval()
    graph = export_onnx(module, 3, list(WORDS.values()))
    return module, ort.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("rows", [1, 8, 1000])
def test_the_graph_answers_as_the_network_does(
    training: TrainingData, exported: tuple[torch.nn.Module, ort.InferenceSession], rows: int
) -> None:
    module, session = exported
    random = np.random.default_rng(rows)
    wild = random.choice([np.nan, -1e30, 1e30, 0.0, 3.5], (rows, 3)).astype(np.float32)
    frame = pl.DataFrame(wild, schema=list(training.numeric)).with_columns(
        carrier=pl.Series(random.choice(["AA", "B6", "", "??"], rows)),
        service=pl.Series(random.choice(["AA1", "AA1199", "AA1200", ""], rows)),
    )
    (answer,) = session.run(None, {"numeric": wild, "categorical": training.texts(frame)})
    with torch.no_grad():
        expected = torch.sigmoid(module(torch.from_numpy(wild), torch.from_numpy(training.indices(frame)))).numpy()
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert np.isfinite(answer).all()
