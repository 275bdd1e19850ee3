"""The server of an endpoint as a real process."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import lmdb
import pytest
from onnx import TensorProto, helper

from formats.clock import advance_clock
from formats.home import Home
from formats.signing import new_private_key
from serving.draining import GRACE_SECONDS
from tests.support.bundles import (
    ENDPOINT,
    authority_key,
    deploy,
    deploy_model,
    expected,
    full_row,
    payload,
    put_weather,
    release,
    store_bundle,
)
from tests.support.processes import PATIENCE, Server, alive, eventually, server, spooled
from tests.support.rubbish import RUBBISH

pytestmark = pytest.mark.service


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def shared(shared_home: Home) -> Iterator[Server]:
    """A server with a release, for tests that only ask."""
    document = deploy_model(shared_home)
    with server(shared_home) as running:
        eventually(lambda: running.serves(document.release))
        yield running


def test_answers_carry_their_release(shared: Server) -> None:
    response = shared.predict(full_row())
    answer, status = response.json(), shared.status()
    assert answer["probability"] == pytest.approx(expected(full_row()), abs=1e-5)
    assert (answer["release"], answer["bundle"]) == (status["release"], status["bundle"])
    assert answer["model"] == "aviation/departure_delay"
    assert answer["stale"] == answer["missing"] == []
    assert response.headers["x-roadbed-release"] == status["release"]
    assert response.headers["x-roadbed-bundle"] == status["bundle"]


def test_each_caller_gets_its_own_row_back(shared: Server) -> None:
    def ask(caller: int) -> None:
        with httpx.Client(base_url=shared.url, timeout=PATIENCE) as client:
            for turn in range(25):
                rows = [full_row(distance=caller * 100 + turn + index, hour=index) for index in range(1 + turn % 3)]
                answers = client.post("/predict", json={"rows": rows}).json()["predictions"]
                got = [answer["probability"] for answer in answers]
                assert got == pytest.approx([expected(row) for row in rows], abs=1e-5)

    with ThreadPoolExecutor(16) as callers:
        list(callers.map(ask, range(16)))


@pytest.mark.parametrize("body", RUBBISH)
@pytest.mark.parametrize("path", ["/predict", "/v2/models/aviation/departure_delay/infer"])
def test_rubbish_is_a_client_error(shared: Server, body: bytes, path: str) -> None:
    response = shared.client.post(path, content=body, headers={"content-type": "application/json"})
    assert 400 <= response.status_code < 500
    assert response.json()["code"] == "request-invalid"


def test_odd_requests_are_client_errors(shared: Server) -> None:
    client = shared.client
    json_type = {"content-type": "application/json"}
    assert client.post("/predict", content=b"x", headers={"content-type": "text/csv"}).status_code == 415
    assert client.post("/predict", content=b" " * (5 << 20), headers=json_type).status_code == 413
    chunks = (b" " * (1 << 20) for _ in range(6))
    assert client.post("/predict", content=chunks, headers=json_type).status_code == 413
    assert client.post("/predict", content=iter([b"{", b"}"]), headers=json_type).status_code == 422
    assert client.get("/predict").status_code == 405
    assert client.post("/readyz").status_code == 405
    assert client.get("/nowhere").status_code == 404
    assert client.post("/v2/models/other/infer", json={}).status_code == 404
    assert shared.predict({"rows": [{}, {}]}).json()["errors"]
    assert "internal" not in client.get("/metrics").text


def test_keys_cannot_reach_into_other_entities(shared: Server, shared_home: Home) -> None:
    shared_home.online.mkdir(exist_ok=True)
    with lmdb.open(str(shared_home.online)):
        pass
    row = {"distance": 1, "hour": 1, "carrier": "AA", "airport": "A\x00B"}
    assert shared.predict(row).status_code == 422
    eventually(lambda: shared.predict(row | {"airport": "A"}).status_code == 200)
    assert shared.predict(row | {"airport": "A" * 1000}).json()["missing"] == ["wind"]


def test_documents(shared: Server) -> None:
    assert shared.client.get("/readyz").json()["state"] == "serving"
    assert shared.client.get("/contract").json()["model"] == "aviation/departure_delay"
    assert shared.client.get("/openapi.json").json()["openapi"] == "3.1.0"
    assert "roadbed_prediction_seconds_bucket" in shared.client.get("/metrics").text


def test_open_inference_protocol(shared: Server) -> None:
    base = "/v2/models/aviation/departure_delay"
    assert shared.client.get("/v2/health/live").status_code == 200
    assert shared.client.get("/v2/health/ready").json() == {"ready": True}
    assert [tensor["name"] for tensor in shared.client.get(base).json()["inputs"]] == ["numeric", "categorical"]
    numeric = {"name": "numeric", "shape": [2, 4], "datatype": "FP32", "data": [400, 7, None, 12, 100, 8, 1000, 0]}
    texts = {"name": "categorical", "shape": [2, 2], "datatype": "BYTES", "data": [["DL", None], ["AA", "N2"]]}
    answer = shared.client.post(f"{base}/infer", json={"id": "7", "inputs": [numeric, texts]}).json()
    rows = [full_row(tail=None), full_row(distance=100, hour=8, pressure=1000, wind=0, carrier="AA")]
    assert answer["id"] == "7"
    assert answer["outputs"][0]["data"] == pytest.approx([expected(row) for row in rows], abs=1e-5)
    for change in ({"data": [1] * 7}, {"shape": [2, 3]}, {"data": [-1] * 8}, {"data": ["x"] * 8}, {"datatype": "X"}):
        refused = shared.client.post(f"{base}/infer", json={"inputs": [numeric | change, texts]})
        assert refused.status_code == 422
    wrong = texts | {"data": [["ZZ", None], [None, "N2"]]}
    errors = shared.client.post(f"{base}/infer", json={"inputs": [numeric, wrong]}).json()["errors"]
    assert [error["path"] for error in errors] == [
        "$.inputs.categorical.data[0][0]",
        "$.inputs.categorical.data[1][0]",
    ]


def test_log_holds_what_was_asked_and_masks_personal_columns(shared: Server, shared_home: Home) -> None:
    answer = shared.predict(full_row(airport="JFK")).json()
    record = eventually(lambda: spooled(shared_home).get(answer["prediction"]))
    assert record.release == answer["release"]
    assert record.probability == pytest.approx(answer["probability"])
    assert record.request["airport"] == "JFK"
    assert (record.features["distance"], record.features["pressure"], record.features["carrier"]) == (400, None, "DL")
    assert record.request["tail"] is None
    assert record.features["tail"] is None
    assert record.endpoint == ENDPOINT


def test_without_a_release_it_lives_but_refuses(home: Home) -> None:
    with server(home) as running:
        running.until_error("release-missing")
        response = running.client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "release-missing")
        refused = running.predict(full_row())
        assert (refused.status_code, refused.json()["code"]) == (503, "release-missing")
        assert refused.headers["retry-after"] == "1"
        document = deploy_model(home)
        eventually(lambda: running.serves(document.release))


def test_what_it_must_not_serve_changes_nothing(home: Home) -> None:
    first = deploy_model(home, sequence=5)
    good = store_bundle(home, payload(bias=1.0))
    damaged = store_bundle(home, payload(bias=2.0))
    (home.bundles / damaged.removeprefix("sha256:") / "payload" / "model.onnx").write_bytes(b"something else")
    lying = store_bundle(home, payload(bias=3.0, answer=0.1))
    foreign = store_bundle(home, payload(bias=4.0) | {"model.onnx": foreign_onnx()})
    past = datetime.now(UTC) - timedelta(hours=1)
    attempts = [
        (release(damaged, 6), None, "digest-mismatch"),
        (release("sha256:" + "0" * 64, 6), None, "digest-mismatch"),
        (release("sha256:../../../etc", 6), None, "bundle-invalid"),
        (release(lying, 6), None, "bundle-invalid"),
        (release(foreign, 6), None, "bundle-invalid"),
        (release(good, 6, endpoint="aviation/other/prod/endpoint"), None, "release-wrong-endpoint"),
        (release(good, 4), None, "release-out-of-order"),
        (release(good, 6, expires_at=past), None, "release-expired"),
        (release(good, 6), new_private_key(), "signature-invalid"),
    ]
    with server(home) as running:
        eventually(lambda: running.serves(first.release))
        for document, key, code in attempts:
            deploy(home, document, key)
            status = running.until_error(code)
            assert (status["state"], status["release"]) == ("holding", first.release)
            assert running.predict(full_row()).json()["release"] == first.release
            assert running.client.get("/readyz").json()["state"] == "holding"
        (home.endpoint(ENDPOINT) / "release.json").write_bytes(b'{"unsigned": true}')
        running.until_error("signature-invalid")
        last = release(good, 6)
        deploy(home, last)
        eventually(lambda: running.serves(last.release))
        assert running.status()["last_error"] is None


def foreign_onnx() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])
    out = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph([helper.make_node("Sigmoid", ["x"], ["probability"])], "foreign", [value], [out])
    data: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return data


def test_an_older_release_is_refused_after_a_restart_too(home: Home) -> None:
    new = deploy_model(home, sequence=5)
    with server(home) as running:
        eventually(lambda: running.serves(new.release))
    deploy_model(home, sequence=4)
    with server(home) as running:
        running.until_error("release-out-of-order")
        assert running.client.get("/readyz").status_code == 503


def test_a_repaired_bundle_is_picked_up(home: Home) -> None:
    document = deploy_model(home)
    onnx = home.bundles / document.bundle.removeprefix("sha256:") / "payload" / "model.onnx"
    whole = onnx.read_bytes()
    onnx.write_bytes(whole[:-1])
    with server(home) as running:
        running.until_error("digest-mismatch")
        onnx.write_bytes(whole)
        eventually(lambda: running.serves(document.release))


def test_a_release_that_expires_stops_answering(home: Home) -> None:
    start = datetime(2013, 7, 1, tzinfo=UTC)
    advance_clock(home.clock, start)
    document = deploy_model(home, expires_at=start + timedelta(days=7))
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        advance_clock(home.clock, start + timedelta(days=8))
        eventually(lambda: running.client.get("/readyz").status_code == 503)
        refused = running.predict(full_row())
        assert (refused.status_code, refused.json()["code"]) == (503, "release-expired")
        assert running.status()["last_error"]["code"] == "release-expired"


def test_hot_swap_under_load_fails_no_request(home: Home) -> None:
    first = deploy_model(home, sequence=1)
    biases = {first.release: 0.0}
    with server(home) as running:
        eventually(lambda: running.serves(first.release))
        done = threading.Event()
        seen: set[str] = set()

        def ask(caller: int) -> int:
            with httpx.Client(base_url=running.url, timeout=PATIENCE) as client:
                count = 0
                while not done.is_set():
                    row = full_row(distance=caller * 10 + count % 7)
                    response = client.post("/predict", json=row)
                    assert response.status_code == 200
                    answer = response.json()
                    assert answer["probability"] == pytest.approx(expected(row, biases[answer["release"]]), abs=1e-5)
                    seen.add(answer["release"])
                    count += 1
                return count

        with ThreadPoolExecutor(6) as callers:
            futures = [callers.submit(ask, caller) for caller in range(6)]
            try:
                eventually(partial(_holds, seen, first.release))
                for sequence in range(2, 7):
                    bias = sequence / 10
                    document = release(store_bundle(home, payload(bias)), sequence)
                    biases[document.release] = bias
                    deploy(home, document)
                    eventually(partial(_holds, seen, document.release))
            finally:
                done.set()
            assert sum(future.result() for future in futures) > 50
    assert len(seen) == 6


def _holds(seen: set[str], release: str) -> bool:
    return release in seen


def test_features_come_from_the_online_store(home: Home) -> None:
    now = datetime(2013, 7, 1, 12, tzinfo=UTC)
    advance_clock(home.clock, now)
    document = deploy_model(home, expires_at=now + timedelta(days=7))
    row = {"distance": 400, "hour": 7, "carrier": "DL", "pressure": None, "tail": "N1"}
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        refused = running.predict(row | {"airport": "JFK"})
        assert (refused.status_code, refused.json()["code"]) == (503, "online-store-unavailable")
        put_weather(home, {"JFK": (now, 30.0), "LGA": (now - timedelta(hours=2), 5.0), "EWR": (now, float("nan"))})
        eventually(lambda: running.predict(row | {"airport": "JFK"}).status_code == 200)
        rows = [row | {"airport": airport} for airport in ("JFK", "LGA", "EWR", "XXX")]
        answers = running.predict({"rows": rows}).json()["predictions"]
        winds = (30.0, 5.0, None, None)
        wanted = [expected(full_row(wind=wind)) for wind in winds]
        assert [answer["probability"] for answer in answers] == pytest.approx(wanted, abs=1e-5)
        assert [answer["stale"] for answer in answers] == [[], ["wind"], [], []]
        assert [answer["missing"] for answer in answers] == [[], [], ["wind"], ["wind"]]
        record = eventually(lambda: spooled(home).get(answers[1]["prediction"]))
        assert (record.features["wind"], record.stale, record.request["airport"]) == (5.0, ("wind",), "LGA")
        assert record.asked_at == now
        metrics = running.client.get("/metrics").text
        assert 'roadbed_features_missing_total{column="wind"} 2' in metrics
        assert [answer["degraded"] for answer in answers] == [[]] * 4
        put_weather(home, {"JFK": (now, 4.0)}, replaced=True)
        replaced = running.predict(row | {"airport": "JFK"}).json()
        assert (replaced["degraded"], replaced["missing"]) == (["wind"], [])
        record = eventually(lambda: spooled(home).get(replaced["prediction"]))
        assert (record.features["wind"], record.degraded) == (4.0, ("wind",))
        assert 'roadbed_features_degraded_total{column="wind"} 1' in running.client.get("/metrics").text
        put_weather(home, {"JFK": (now, 1.0)}, ("wind", "visibility", "degraded:wind"))
        conflict = running.predict(row | {"airport": "JFK"})
        assert (conflict.status_code, conflict.json()["code"]) == (503, "data-conflict")


def test_spool_survives_kill_of_the_server(home: Home) -> None:
    document = deploy_model(home)
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        writer = running.log_writer()
        answers = running.predict({"rows": [full_row(hour=hour) for hour in range(20)]}).json()["predictions"]
        ids = {answer["prediction"] for answer in answers}
        eventually(lambda: ids <= set(spooled(home)))
        running.end(signal.SIGKILL)
        eventually(lambda: not alive(writer))
    assert not list((home.endpoint(ENDPOINT) / "spool").glob("*.open"))
    assert ids <= set(spooled(home))


def test_a_killed_log_writer_is_replaced_and_its_segment_adopted(home: Home) -> None:
    document = deploy_model(home)
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        first = running.predict(full_row()).json()["prediction"]
        eventually(lambda: first in spooled(home))
        writer = running.log_writer()
        os.kill(writer, signal.SIGKILL)
        second = running.predict(full_row()).json()["prediction"]
        eventually(lambda: {first, second} <= set(spooled(home)))
        assert running.log_writer() != writer
    assert not list((home.endpoint(ENDPOINT) / "spool").glob("*.open"))


def test_sigterm_finishes_what_was_begun(home: Home) -> None:
    document = deploy_model(home)
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        body = json.dumps({"rows": [full_row()] * 10_000}).encode()
        with ThreadPoolExecutor(1) as caller:
            sent = threading.Event()

            def slowly() -> Iterator[bytes]:
                yield body[:1000]
                sent.set()
                yield body[1000:]

            headers = {"content-type": "application/json"}
            future = caller.submit(lambda: running.client.post("/predict", content=slowly(), headers=headers))
            assert sent.wait(PATIENCE)
            running.process.send_signal(signal.SIGTERM)
            response = future.result()
        assert response.status_code == 200
        assert len(response.json()["predictions"]) == 10_000
        running.process.wait(PATIENCE)
        assert len(spooled(home)) == 10_000


def test_drained_it_answers_whom_it_accepted_and_nobody_else(home: Home) -> None:
    """The one who is slow, for as long as it takes; and who comes on a connection that was open before."""
    document = deploy_model(home)
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        body, begun, finish = json.dumps(full_row()).encode(), threading.Event(), threading.Event()

        def slowly() -> Iterator[bytes]:
            yield body[:10]
            begun.set()
            finish.wait(PATIENCE)
            yield body[10:]

        headers = {"content-type": "application/json"}
        with ThreadPoolExecutor(1) as caller, httpx.Client(base_url=running.url, timeout=PATIENCE) as other:
            slow = caller.submit(lambda: running.client.post("/predict", content=slowly(), headers=headers))
            assert begun.wait(PATIENCE)
            eventually(lambda: "roadbed_in_flight 1" in other.get("/metrics").text)
            running.process.send_signal(signal.SIGUSR1)
            eventually(lambda: refuses(running))
            finish.wait(2 * GRACE_SECONDS)
            last = other.post("/predict", json=full_row())
            assert (last.status_code, last.headers["connection"]) == (200, "close")
            finish.set()
            assert slow.result().status_code == 200
        assert running.process.wait(PATIENCE) == 0
        assert len(spooled(home)) == 2


def refuses(running: Server) -> bool:
    """Whether nobody listens any more."""
    try:
        httpx.get(f"{running.url}/livez", timeout=PATIENCE)
    except httpx.ConnectError:
        return True
    return False


def test_sigterm_ends_the_patience_of_a_drained_server(home: Home) -> None:
    document = deploy_model(home)
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
        begun, finish = threading.Event(), threading.Event()

        def never() -> Iterator[bytes]:
            yield b"{"
            begun.set()
            finish.wait(2 * PATIENCE)
            yield b"}"

        with ThreadPoolExecutor(1) as caller:
            headers = {"content-type": "application/json"}
            asked = caller.submit(lambda: httpx.post(f"{running.url}/predict", content=never(), headers=headers))
            assert begun.wait(PATIENCE)
            eventually(lambda: "roadbed_in_flight 1" in running.client.get("/metrics").text)
            running.process.send_signal(signal.SIGUSR1)
            running.end(signal.SIGTERM)
            finish.set()
            assert asked.result().status_code == 500


def test_too_many_at_once_are_sent_away(home: Home) -> None:
    document = deploy_model(home)
    with server(home, "--max-in-flight", "0") as running:
        eventually(lambda: running.serves(document.release))
        refused = running.predict(full_row())
        assert (refused.status_code, refused.json()["code"]) == (503, "endpoint-overloaded")
        assert refused.headers["retry-after"] == "1"


def test_the_authority_key_is_never_needed(home: Home) -> None:
    document = deploy_model(home)
    authority_key(home)
    (home.authority / "key.pem").unlink()
    with server(home) as running:
        eventually(lambda: running.serves(document.release))
