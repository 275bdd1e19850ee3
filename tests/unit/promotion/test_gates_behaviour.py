"""Gates on how a model behaves: repeatable, robust, the same on the endpoint's own way, and small enough."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import onnx
import polars as pl
import pytest
from onnx import NodeProto, helper

from formats.contract import ServingContract
from formats.errors import DeclarationError
from platform_assets.promotion.broken_requests import Broken, broken_requests, judge_requests
from platform_assets.promotion.spec import Deterministic, Robust, ServingSkew, SizeBudget
from serving.refusals import Refusal
from serving.requests import RequestDecoder
from tests.support import promotion_case as world
from tests.support.promotion_case import GOOD, case, contract, graph, run

STEEP = (30.0, -1.0)


def twisted(*nodes: NodeProto) -> bytes:
    """The graph with `nodes` between `chance` and its output; the last of them gives `twisted`."""
    model = onnx.load_model_from_string(graph(GOOD))
    last = model.graph.node.pop()
    last.input[0] = "twisted"
    model.graph.node.extend([*nodes, last])
    model.graph.initializer.append(onnx.numpy_helper.from_array(world.np.array([0.5], "float32"), "half"))
    return bytes(model.SerializeToString())


def by_company() -> bytes:
    """Each answer depends on the other rows of its batch."""
    return twisted(
        helper.make_node("ReduceMean", ["chance"], ["mean"], keepdims=1),
        helper.make_node("Add", ["chance", "mean"], ["more"]),
        helper.make_node("Mul", ["more", "half"], ["twisted"]),
    )


def by_chance() -> bytes:
    """Each answer is another one every time."""
    return twisted(
        helper.make_node("RandomUniformLike", ["chance"], ["noise"]),
        helper.make_node("Mul", ["chance", "noise"], ["twisted"]),
    )


def without_missing() -> bytes:
    """A graph that answers NaN where a number is missing."""
    model = onnx.load_model_from_string(graph(GOOD))
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.input[0] = "numeric"
    return bytes(model.SerializeToString())


def changed_contract(change: Callable[[ServingContract], ServingContract]) -> dict[str, bytes]:
    return {"contract.json": msgspec.json.encode(change(contract()))}


def from_hour(hour: int) -> dict[str, bytes]:
    """A contract whose hours begin at `hour`."""

    def change(old: ServingContract) -> ServingContract:
        wind, hours, origin = old.columns
        return msgspec.structs.replace(old, columns=(wind, msgspec.structs.replace(hours, minimum=hour), origin))

    return changed_contract(change)


# Determinism


def test_the_same_rows_give_the_same_bits(tmp_path: Path) -> None:
    found = run(case(tmp_path), Deterministic(rows=400))
    assert (found.status, found.value) == ("passed", 0)
    assert [row["asked"] for row in found.table][:2] == ["in the whole hold-out", "one by one"]
    assert len(found.table) == 6


def test_answers_that_depend_on_their_company_have_failed(tmp_path: Path) -> None:
    found = run(case(tmp_path, files={"model.onnx": by_company()}), Deterministic(rows=400))
    assert (found.status, found.blocks) == ("failed", True)
    assert found.value is not None
    assert found.value > 0.01


def test_a_tolerance_allows_for_other_kernels(tmp_path: Path) -> None:
    gate = Deterministic(rows=400, tolerance=1.0)
    assert run(case(tmp_path, files={"model.onnx": by_company()}), gate).status == "passed"


def test_answers_by_chance_have_failed_whatever_the_tolerance(tmp_path: Path) -> None:
    found = run(case(tmp_path, files={"model.onnx": by_chance()}), Deterministic(tolerance=1.0))
    assert (found.status, "answered otherwise when asked again" in found.message) == ("failed", True)


# Robustness


def test_a_smooth_model_is_robust(tmp_path: Path) -> None:
    found = run(case(tmp_path), Robust())
    assert (found.status, found.value) == ("passed", 1.0)
    assert "extremes were answered" in found.message
    disturbed = {row["disturbed"] for row in found.table}
    assert disturbed >= {"noise on every number", "wind missing", "hour at its greatest", "origin unknown"}


def test_a_steep_model_changes_too_much(tmp_path: Path) -> None:
    found = run(case(tmp_path, STEEP), Robust(perturbation=0.1))
    assert (found.status, found.threshold) == ("failed", 0.99)
    assert found.value is not None
    assert found.value < 0.99


def test_more_change_may_be_allowed(tmp_path: Path) -> None:
    assert run(case(tmp_path, STEEP), Robust(maximum_change=1.0, perturbation=0.1)).status == "passed"


def test_a_missing_value_without_answer_is_named(tmp_path: Path) -> None:
    whole = world.holdout_rows().with_columns(pl.col("wind").fill_null(0.0))
    found = run(case(tmp_path, frame=whole, files={"model.onnx": without_missing()}), Robust())
    assert (found.status, [row["what"] for row in found.table]) == ("failed", ["wind missing"])


def test_every_breach_of_the_contract_is_refused(tmp_path: Path) -> None:
    broken = list(broken_requests(contract(), world.holdout_rows().head(1)))
    told = {request.what for request in broken}
    assert told >= {"wind as text", "hour null", "hour absent", "origin as a number", "a request cut off", "no rows"}
    assert judge_requests(RequestDecoder(contract()), broken) == []
    assert run(case(tmp_path, files=from_hour(-2)), Robust()).status == "passed"


@pytest.mark.parametrize(
    ("decode", "found"),
    [
        (lambda _: None, "taken"),
        (lambda _: {}["no such key"], "KeyError: 'no such key'"),
        (lambda _: (_ for _ in ()).throw(Refusal(500, "oops", "an error")), "status 500"),
    ],
)
def test_a_decoder_that_takes_or_crashes_is_found(decode: Callable[[bytes], None], found: str) -> None:
    (finding,) = judge_requests(SimpleNamespace(decode=decode), [Broken("wind as text", b"{}")])  # type: ignore[arg-type]
    assert (finding["what"], finding["found"]) == ("wind as text", found)


def test_refusing_everything_is_not_robust(tmp_path: Path) -> None:
    found = run(case(tmp_path, files=from_hour(20)), Robust())
    assert found.status == "failed"
    assert found.table[0]["what"] == "a hold-out row"


# Serving skew


def test_the_endpoints_way_gives_the_same_scores(tmp_path: Path) -> None:
    found = run(case(tmp_path), ServingSkew(rows=600))
    assert (found.status, "600 hold-out rows" in found.message) == ("passed", True)


def test_rows_that_the_endpoint_refuses_have_failed(tmp_path: Path) -> None:
    found = run(case(tmp_path, files=from_hour(0)), ServingSkew())
    assert found.status == "failed"
    assert found.table[0]["what"].endswith(".hour")


def test_another_score_on_the_endpoints_way_has_failed(tmp_path: Path) -> None:
    found = case(tmp_path)
    right = found.served.run
    found.served.run = lambda numeric, categorical: right(numeric, categorical) * 0.999  # type: ignore[method-assign]
    result = run(found, ServingSkew())
    assert (result.status, result.threshold) == ("failed", 1e-6)


# Size


def test_size_is_that_of_the_payload(tmp_path: Path) -> None:
    size = sum(len(data) for data in world.payload().values())
    assert run(case(tmp_path), SizeBudget(maximum_bytes=size)).status == "passed"
    found = run(case(tmp_path), SizeBudget(maximum_bytes=size - 1))
    assert (found.status, found.value) == ("failed", size)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Deterministic(rows=1),
        lambda: Robust(share=1.1),
        lambda: Robust(perturbation=0),
        lambda: ServingSkew(rows=0),
    ],
)
def test_contradictions_are_refused(declare: object) -> None:
    with pytest.raises(DeclarationError):
        declare()  # type: ignore[operator]
