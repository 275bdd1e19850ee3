"""What an endpoint says of several classes and of numbers: JSON, the Open Inference Protocol, OpenAPI, the prediction log."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from formats.canonical import canonical_json
from formats.contract import ServingContract, decode_contract
from formats.errors import ContractError, IntegrityError
from formats.prediction_log import PredictionRecord, encode_record, read_segment
from formats.release import ReleaseDocument
from formats.task import Multiclass, Regression
from platform_assets.monitoring.spool import log_frame, log_schema
from serving.batching import Answer
from serving.model import Model
from serving.online_features import UNMARKED
from serving.open_inference import decode_infer, infer_response, model_metadata
from serving.openapi import openapi
from serving.records import Occasion, records
from tests.support import task_world
from tests.support.task_world import CLASSES, GOOD, VALUE, OtherTask, contract

NOW = datetime(2013, 4, 1, tzinfo=UTC)
BODY = b'{"rows": [{"wind": 1.0}, {"wind": -2.0}]}'


def model(task: OtherTask) -> Model:
    return Model("sha256:m", contract(task), task_world.graph(task, GOOD))


def asked(served: Model) -> tuple[list[object], list[bytes], Answer]:
    batch = served.decoder.decode(BODY)
    answer = served.run(batch.numeric, batch.categorical)
    document = ReleaseDocument(
        release="sha256:r",
        bundle="sha256:m",
        environment="prod",
        endpoint="e",
        sequence=1,
        issued_at=NOW,
        expires_at=NOW,
        decision="sha256:d",
        reason="a test",
    )
    told = served.answers.predictions("team/model", document, [UNMARKED] * 2, answer)
    logged = records(Occasion("e", NOW), served.log_plan(batch.form), batch, told)
    return [msgspec.to_builtins(one) for one in told], logged, answer


def test_several_classes_are_told_by_name() -> None:
    served = model(CLASSES)
    (first, second), _, answer = asked(served)
    assert (first["class"], second["class"]) == ("storm", "calm")  # type: ignore[index]
    assert first["probabilities"] == dict(zip(CLASSES.classes, answer[0].tolist(), strict=True))  # type: ignore[index]
    assert sum(first["probabilities"].values()) == pytest.approx(1)  # type: ignore[index]
    assert "probability" not in first  # type: ignore[operator]


def test_a_number_is_told_as_a_value() -> None:
    (first, second), _, _ = asked(model(VALUE))
    assert (first["value"], second["value"]) == pytest.approx((3.0, -6.0))  # type: ignore[index]


@pytest.mark.parametrize(("task", "field"), [(CLASSES, "probabilities"), (VALUE, "value")])
def test_the_log_keeps_the_answer_and_the_lake_its_columns(task: OtherTask, field: str) -> None:
    served = model(task)
    told, logged, answer = asked(served)
    found = list(read_segment(b"".join(logged)))
    assert [np.allclose(record.answer, row) for record, row in zip(found, answer, strict=True)] == [True, True]
    assert isinstance(getattr(found[0], field), float | tuple)
    table = log_frame(found, served.contract)
    assert list(table.schema) == list(log_schema(served.contract))
    if task is CLASSES:
        assert table["class"].to_list() == ["storm", "calm"]
        assert table["probability"].to_list() == pytest.approx(answer.max(axis=1))
    else:
        assert table["value"].to_list() == pytest.approx(answer)
    assert len(told) == table.height == 2


def test_a_record_of_two_outcomes_has_the_bytes_that_it_always_had() -> None:
    fields = {"prediction": "p", "endpoint": "e", "release": "r", "bundle": "b", "asked_at": NOW, "served_at": NOW}
    record = PredictionRecord(**fields, request={}, features={}, probability=0.5)  # type: ignore[arg-type]
    order = [*fields, "request", "features", "probability", "stale", "missing", "degraded"]
    assert list(msgspec.msgpack.decode(encode_record(record)[8:])) == order


def test_answers_of_a_model_before_its_task_was_declared_anew_stay_out_of_the_table() -> None:
    _, logged, _ = asked(model(CLASSES))
    assert log_frame(list(read_segment(b"".join(logged))), contract(VALUE)).height == 0


def test_the_open_inference_protocol_gives_probabilities_and_the_class() -> None:
    served = model(CLASSES)
    tensor = {"name": "numeric", "shape": [2, 1], "datatype": "FP32", "data": [1.0, -2.0]}
    _, batch = decode_infer(msgspec.json.encode({"inputs": [tensor]}), served.contract)
    answer = served.run(batch.numeric, batch.categorical)
    body = msgspec.json.decode(infer_response(served.contract, "sha256:m", None, ["1", "2"], answer))
    outputs = {output["name"]: output for output in body["outputs"]}
    assert (outputs["probabilities"]["shape"], len(outputs["probabilities"]["data"])) == ([2, 3], 6)
    assert outputs["class"]["data"] == ["storm", "calm"]
    described = {tensor["name"]: tensor["shape"] for tensor in model_metadata(served.contract, "d")["outputs"]}  # type: ignore[attr-defined]
    assert described == {"probabilities": [-1, 3], "class": [-1], "prediction": [-1]}


@pytest.mark.parametrize(("task", "names"), [(CLASSES, "ClassPrediction"), (VALUE, "ValuePrediction")])
def test_openapi_describes_the_tasks_answers(task: OtherTask, names: str) -> None:
    document = openapi(model(task), "team/model")
    schemas = document["components"]["schemas"]
    assert {names, f"{names}s"} <= set(schemas)
    assert "Prediction" not in schemas
    answers = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answers["anyOf"] == [{"$ref": f"#/components/schemas/{name}"} for name in (names, f"{names}s")]


def test_a_contract_carries_its_task_and_a_binary_one_does_not_say_it() -> None:
    for task in (CLASSES, Regression()):
        written = canonical_json(msgspec.to_builtins(contract(task)))
        assert decode_contract(written).task == task
    assert b"task" not in canonical_json(msgspec.to_builtins(ServingContract(model="team/model", columns=())))


def test_a_graph_of_another_width_or_with_another_answer_does_not_serve() -> None:
    served = Model("sha256:m", contract(Multiclass(("a", "b"))), task_world.graph(CLASSES, GOOD))
    with pytest.raises(ContractError, match="answered 1 rows"):
        served.run(np.ones((1, 1), np.float32), np.empty((1, 0), object))
    model(CLASSES).check_example(b'{"request": {"wind": 0.0}, "answer": [0.3333333, 0.3333333, 0.3333333]}')
    with pytest.raises(IntegrityError, match="away from the recorded"):
        model(CLASSES).check_example(b'{"request": {"wind": 0.0}, "answer": [0.5, 0.25, 0.25]}')
    # Float32 keeps seven digits of a large value.
    model(VALUE).check_example(b'{"request": {"wind": 33.3}, "answer": 99.9001}')
