"""What surrounds an answer of a real server: its headers, the caller's deadline, and being sent away under load."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from formats.clock import advance_clock
from formats.home import Home
from tests.support.bundles import deploy_model, full_row, put_weather
from tests.support.processes import PATIENCE, Server, eventually, server, spooled

pytestmark = pytest.mark.service

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
KEYED = {"distance": 400, "hour": 7, "carrier": "DL", "pressure": None, "tail": "N1"}
INFER = "/v2/models/aviation/departure_delay/infer"
DEADLINE = "x-roadbed-deadline-ms"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A release, and an online store in which one airport's wind is old and another's was replaced."""
    home = Home(tmp_path_factory.mktemp("home"))
    advance_clock(home.clock, NOW)
    deploy_model(home, expires_at=NOW + timedelta(days=7))
    put_weather(home, {"JFK": (NOW, 4.0), "LGA": (NOW - timedelta(hours=2), 5.0)})
    return home


@pytest.fixture(scope="module")
def running(home: Home) -> Iterator[Server]:
    with server(home) as found:
        eventually(lambda: found.predict(KEYED | {"airport": "JFK"}).status_code == 200)
        yield found


def tensors(rows: int) -> dict[str, object]:
    numeric = {"name": "numeric", "shape": [rows, 4], "datatype": "FP32", "data": [400, 7, None, 12] * rows}
    texts = {"name": "categorical", "shape": [rows, 2], "datatype": "BYTES", "data": ["DL", "N1"] * rows}
    return {"inputs": [numeric, texts]}


def ids_of(answer: httpx.Response) -> list[str]:
    return answer.headers.get("x-roadbed-prediction", "").split(",")


def metric(running: Server, line: str) -> float:
    """The value of a line of /metrics, 0 without it."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", running.client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def turned_away(running: Server, code: str, reason: str) -> float:
    return metric(running, f'roadbed_turned_away_total{{code="{code}",reason="{reason}"}}')


def test_one_row_says_in_its_headers_what_its_body_says(running: Server, home: Home) -> None:
    answer = running.predict(KEYED | {"airport": "LGA"})
    body, headers = answer.json(), answer.headers
    for name in ("prediction", "model", "release", "bundle"):
        assert headers[f"x-roadbed-{name}"] == body[name]
    assert UUID7.fullmatch(body["prediction"])
    assert (headers["x-roadbed-stale"], body["stale"]) == ("wind", ["wind"])
    assert not {"x-roadbed-missing", "x-roadbed-degraded"} & headers.keys()
    eventually(lambda: headers["x-roadbed-prediction"] in spooled(home))


def test_many_rows_say_in_their_headers_what_any_row_says(running: Server) -> None:
    rows = [KEYED | {"airport": airport} for airport in ("JFK", "LGA", "XXX")]
    answer = running.predict({"rows": rows})
    body = answer.json()["predictions"]
    assert ids_of(answer) == [row["prediction"] for row in body]
    assert (answer.headers["x-roadbed-stale"], answer.headers["x-roadbed-missing"]) == ("wind", "wind")
    assert [row["stale"] for row in body] == [[], ["wind"], []]
    unmarked = running.predict({"rows": [full_row()] * 17})
    assert not {"x-roadbed-prediction", "x-roadbed-stale", "x-roadbed-missing"} & unmarked.headers.keys()
    assert unmarked.headers["x-roadbed-release"] == body[0]["release"]


@pytest.mark.parametrize("rows", [1, 3])
def test_the_open_inference_routes_say_the_same(running: Server, rows: int) -> None:
    answer = running.client.post(INFER, json=tensors(rows))
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert ids_of(answer) == outputs["prediction"]
    assert answer.headers["x-roadbed-bundle"] == answer.json()["model_version"]
    assert answer.headers["x-roadbed-model"] == answer.json()["model_name"]
    assert answer.headers["x-roadbed-release"] == running.status()["release"]


def test_a_refusal_has_no_prediction(running: Server) -> None:
    refused = running.predict({"distance": "far"})
    assert refused.status_code == 422
    assert "x-roadbed-prediction" not in refused.headers


@pytest.mark.parametrize(("path", "body"), [("/predict", full_row()), (INFER, tensors(2))])
def test_a_deadline_that_is_over_is_refused_counted_and_not_inferred(
    running: Server, home: Home, path: str, body: dict[str, object]
) -> None:
    inferred = metric(running, "roadbed_batch_rows_sum{}")
    late = turned_away(running, "deadline-exceeded", "body")
    refused = running.client.post(path, json=body, headers={DEADLINE: "0"})
    assert (refused.status_code, refused.json()["code"]) == (504, "deadline-exceeded")
    assert "retry-after" not in refused.headers
    assert metric(running, "roadbed_batch_rows_sum{}") == inferred
    assert turned_away(running, "deadline-exceeded", "body") == late + 1
    answered = running.client.post(path, json=body, headers={DEADLINE: "60000"})
    assert answered.status_code == 200
    assert metric(running, "roadbed_batch_rows_sum{}") > inferred
    eventually(lambda: ids_of(answered)[0] in spooled(home))


@pytest.mark.parametrize("value", [b"", b"-1", b"NaN", b"1e3", b"3600001", b"9" * 5000, b"1,2", b"\xb2"])
@pytest.mark.parametrize("path", ["/predict", INFER])
def test_a_deadline_that_is_none_is_refused_in_a_sentence(running: Server, path: str, value: bytes) -> None:
    refused = running.client.post(path, json=full_row(), headers=[(DEADLINE.encode(), value)])
    assert (refused.status_code, refused.json()["code"]) == (400, "request-invalid")
    assert "one whole number of milliseconds from 0 to 3600000" in refused.json()["message"]


def test_two_deadlines_are_refused(running: Server) -> None:
    refused = running.client.post("/predict", json=full_row(), headers=[(DEADLINE, "5000"), (DEADLINE, "6000")])
    assert (refused.status_code, refused.json()["code"]) == (400, "request-invalid")


@contextmanager
def half_sent(running: Server, body: bytes, *headers: str) -> Iterator[socket.socket]:
    """A request whose body stops half-way."""
    url = httpx.URL(running.url)
    lines = ["POST /predict HTTP/1.1", f"host: {url.host}", f"content-length: {len(body)}", *headers, "", ""]
    with socket.create_connection((url.host, url.port or 0), PATIENCE) as connection:
        connection.sendall("\r\n".join(lines).encode() + body[: len(body) // 2])
        yield connection


def test_a_body_that_does_not_come_in_time_ends_its_request(running: Server) -> None:
    late = turned_away(running, "deadline-exceeded", "body")
    with half_sent(running, json.dumps(full_row()).encode(), f"{DEADLINE}: 50") as connection:
        told = connection.recv(4096)
    assert told.startswith(b"HTTP/1.1 504")
    assert turned_away(running, "deadline-exceeded", "body") == late + 1
    assert metric(running, "roadbed_in_flight") == 0
    assert running.predict(full_row()).status_code == 200


def test_who_comes_when_the_queue_is_full_is_sent_away_and_told_when_to_come_again(home: Home) -> None:
    body = json.dumps(full_row()).encode()
    with server(home, "--max-in-flight", "1") as full:
        eventually(lambda: full.predict(full_row()).status_code == 200)
        with half_sent(full, body) as connection:
            eventually(lambda: metric(full, "roadbed_in_flight") == 1)
            refused = full.predict(full_row())
            assert (refused.status_code, refused.json()["code"]) == (503, "endpoint-overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            infer = full.client.post(INFER, json=tensors(1))
            assert (infer.status_code, infer.headers["retry-after"]) == (503, refused.headers["retry-after"])
            assert full.client.get("/livez").status_code == 200
            connection.sendall(body[len(body) // 2 :])
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert full.predict(full_row()).status_code == 200
        assert turned_away(full, "endpoint-overloaded", "in-flight") == 2
        assert 'roadbed_requests_total{route="/predict",status="503"} 1' in full.client.get("/metrics").text
