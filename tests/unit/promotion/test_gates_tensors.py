"""The gates look at a tensor as at a column: as a whole, element by element, and as a request that may be broken."""

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from platform_assets.promotion.broken_requests import broken_requests, judge_requests
from platform_assets.promotion.spec import NoLeakage, Robust, ServingSkew, SignatureEqualsContract
from serving.requests import RequestDecoder
from tests.support.promotion_case import run
from tests.support.tensor_world import CONTRACT, IMAGE, WEIGHTS, case


def test_a_sound_model_of_tensors_passes(tmp_path: Path) -> None:
    found = case(tmp_path)
    for gate in (SignatureEqualsContract(), ServingSkew(rows=200), Robust(), NoLeakage()):
        result = run(found, gate)
        assert result.status == "passed", result.message


def test_a_tensor_is_disturbed_as_a_whole_and_noise_reaches_its_elements(tmp_path: Path) -> None:
    disturbed = {row["disturbed"]: row["largest_change"] for row in run(case(tmp_path), Robust()).table}
    assert {"image at its least", "image at its greatest", "noise on every number"} <= set(disturbed)
    nervous = WEIGHTS.copy()
    nervous[1:7] = [-5, 0, 5] * 2
    assert run(case(tmp_path, weights=nervous), Robust(perturbation=0.5)).status == "failed"
    columns = [msgspec.structs.replace(c, nullable=True) if c is IMAGE else c for c in CONTRACT.columns]
    nullable = msgspec.structs.replace(CONTRACT, columns=tuple(columns))
    lost = pl.when(pl.int_range(pl.len()) % 9 > 0).then(pl.col("image"))
    found = run(case(tmp_path, nullable, image=lost), Robust())
    assert found.status == "passed", found.message
    assert "image missing" in {row["disturbed"] for row in found.table}


def test_an_element_that_knows_the_answer_is_found(tmp_path: Path) -> None:
    marked = case(tmp_path)
    stain = pl.Series(np.where(marked.frame["late"] == 1, 16.0, 0.0))
    image = np.array(marked.frame["image"].to_list())
    image[:, 1, 0] = stain.to_numpy()
    marked.frame = marked.frame.with_columns(image=pl.Series(image).cast(pl.List(pl.List(pl.Float32))))
    result = run(marked, NoLeakage())
    assert result.status == "failed"
    assert "image[1][0]" in result.message


def test_a_table_of_another_depth_and_a_graph_of_another_width_are_found(tmp_path: Path) -> None:
    result = run(case(tmp_path, image=pl.lit(1.0)), SignatureEqualsContract())
    assert {row["what"] for row in result.table} == {"hold-out column image"}
    result = run(case(tmp_path, weights=WEIGHTS[:4]), SignatureEqualsContract())
    assert {row["what"] for row in result.table} == {"graph input numeric"}


def test_every_broken_tensor_is_tried_and_refused(tmp_path: Path) -> None:
    broken = list(broken_requests(CONTRACT, case(tmp_path).frame.head(1)))
    assert {request.what for request in broken} >= {
        "image too short along axis 0",
        "image too long along axis 1",
        "image with an element null",
        "image with an element above its maximum",
        "image as a single number",
        "image absent",
    }
    assert judge_requests(RequestDecoder(CONTRACT), broken) == []


def test_a_decoder_that_takes_a_ragged_tensor_is_found(tmp_path: Path) -> None:
    columns = tuple(msgspec.structs.replace(c, tensor=(2, 2)) if c is IMAGE else c for c in CONTRACT.columns)
    other = RequestDecoder(msgspec.structs.replace(CONTRACT, columns=columns))
    found = judge_requests(other, broken_requests(CONTRACT, case(tmp_path).frame.head(1)))
    assert {row["what"] for row in found} == {"a hold-out row"}
