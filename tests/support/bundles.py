"""A real, tiny model as a bundle, and the signed releases that let it serve."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from formats.attestation import (
    REQUIRED,
    attestation_path,
    sign_statement,
    signature_statement,
    statement_about,
)
from formats.bundle import Manifest, manifest_of
from formats.contract import Column, ServingContract, View
from formats.durable import write_atomic
from formats.home import Home
from formats.identifiers import uuid7
from formats.packed_features import FeatureRow, columns_checksum, entity_key, pack_row
from formats.release import ReleaseDocument, sign_release
from formats.signing import PrivateKey, load_private_key, new_private_key, private_pem, public_pem
from resources.online_places import open_online_store

ENDPOINT = "aviation/departure_delay/prod/endpoint"
WEATHER = View(
    name="aviation/airport_weather@1",
    keys=("airport",),
    columns=("visibility", "wind"),
    time_to_live=3600.0,
    degradable=("wind",),
)
CONTRACT = ServingContract(
    model="aviation/departure_delay",
    columns=(
        Column(name="distance", type="float", minimum=0, maximum=6000, unit="miles", description="Great circle"),
        Column(name="hour", type="int", minimum=0, maximum=23),
        Column(name="pressure", type="float", nullable=True),
        Column(name="carrier", type="text", allowed=("AA", "DL", "UA"), strict=True),
        Column(name="tail", type="text", nullable=True, classification="personal"),
        Column(name="wind", type="float", view=WEATHER.name, minimum=0),
    ),
    views=(WEATHER,),
)
WEIGHTS = (0.001, 0.05, 0.0005, 0.02)
CARRIERS = {"AA": 0.0, "DL": 0.5, "UA": 1.0}


def expected(row: dict[str, float | str | None], bias: float = 0.0) -> float:
    """What the tiny model answers for a full row; missing numbers count as zero."""
    numbers = [float(row.get(name) or 0.0) for name in ("distance", "hour", "pressure", "wind")]
    weighted = sum(weight * value for weight, value in zip(WEIGHTS, numbers, strict=True))
    return 1 / (1 + math.exp(-(weighted + 0.7 * CARRIERS[str(row["carrier"])] + bias)))


def full_row(**changes: float | str | None) -> dict[str, float | str | None]:
    """A row that the contract accepts."""
    row = {"distance": 400.0, "hour": 7, "pressure": None, "carrier": "DL", "tail": "N1", "wind": 12.0}
    return row | changes


def model_onnx(bias: float = 0.0) -> bytes:
    """LabelEncoder of the carrier, missing numbers as zero, Gemm, Sigmoid: probability [N]."""
    text_input = helper.make_tensor_value_info("categorical", TensorProto.STRING, ["N", 2])
    inputs = [helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["N", 4]), text_input]
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N"])
    nodes = [
        helper.make_node("IsNaN", ["numeric"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "numeric"], ["known"]),
        helper.make_node("Gather", ["categorical", "first"], ["carrier"], axis=1),
        helper.make_node(
            "LabelEncoder",
            ["carrier"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=list(CARRIERS),
            values_floats=list(CARRIERS.values()),
            default_float=0.0,
        ),
        helper.make_node("Concat", ["known", "code"], ["row"], axis=1),
        helper.make_node("Gemm", ["row", "weights", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["column"]),
        helper.make_node("Squeeze", ["column", "axes"], ["probability"]),
    ]
    constants: dict[str, np.ndarray[Any, Any]] = {
        "zero": np.zeros(1, np.float32),
        "first": np.array([0], np.int64),
        "weights": np.array([[*WEIGHTS, 0.7]], np.float32).T,
        "bias": np.array([bias], np.float32),
        "axes": np.array([1], np.int64),
    }
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return data


def payload(bias: float = 0.0, answer: float | None = None) -> dict[str, bytes]:
    """The payload of a bundle; `answer` replaces the example's true one."""
    row = full_row(wind=12.0, pressure=1000.0)
    recorded = expected(row, bias) if answer is None else answer
    return {
        "model.onnx": model_onnx(bias),
        "contract.json": msgspec.json.encode(CONTRACT),
        "profile.json": b'{"rows":0,"columns":{}}',
        "example.json": json.dumps({"request": row, "answer": recorded}).encode(),
    }


def store_bundle(home: Home, files: dict[str, bytes]) -> str:
    """Put a payload into the home's bundles and return its digest."""
    manifest = manifest_of(files)
    folder = home.bundles / manifest.digest.removeprefix("sha256:")
    (folder / "payload").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / "payload" / name).write_bytes(data)
    (folder / "manifest.json").write_bytes(manifest.encode())
    sign_attestations(home, manifest)
    return manifest.digest


def sign_attestations(home: Home, manifest: Manifest, key: PrivateKey | None = None) -> None:
    """Put the attestations that a server asks for beside the bundle."""
    folder = home.bundles / manifest.digest.removeprefix("sha256:")
    found = {name: statement_about(manifest.digest, name, {}) for name in REQUIRED}
    for name, statement in {**found, "signature": signature_statement(manifest)}.items():
        write_atomic(attestation_path(folder, name), sign_statement(statement, key or authority_key(home)))


def authority_key(home: Home) -> PrivateKey:
    """The home's key pair, made on first use."""
    path = home.authority / "key.pem"
    if not path.exists():
        key = new_private_key()
        home.authority.mkdir(parents=True, exist_ok=True)
        (home.authority / "key.pub").write_bytes(public_pem(key.public_key()))
        path.write_bytes(private_pem(key))
    return load_private_key(path.read_bytes())


def release(digest: str, sequence: int, **changes: str | datetime) -> ReleaseDocument:
    """A release of `digest`, valid for a day."""
    now = datetime.now(UTC)
    document = ReleaseDocument(
        release=f"r{sequence}-{uuid7()[:8]}",
        bundle=digest,
        endpoint=ENDPOINT,
        environment="prod",
        sequence=sequence,
        issued_at=now,
        expires_at=now + timedelta(days=1),
        decision="d1",
        reason="test",
    )
    return msgspec.structs.replace(document, **changes)


def deploy(home: Home, document: ReleaseDocument, key: PrivateKey | None = None) -> Path:
    """Write the signed release where its endpoint's server looks for it."""
    path = home.endpoint(ENDPOINT) / "release.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(sign_release(document, key or authority_key(home)))
    return beside.replace(path)


def deploy_model(home: Home, sequence: int = 1, bias: float = 0.0, **changes: str | datetime) -> ReleaseDocument:
    """A bundle with `bias`, released and deployed."""
    document = release(store_bundle(home, payload(bias)), sequence, **changes)
    deploy(home, document)
    return document


def put_weather(
    home: Home,
    winds: dict[str, tuple[datetime, float]],
    columns: tuple[str, ...] = WEATHER.packed,
    *,
    replaced: bool = False,
) -> None:
    """Put the wind of airports, read at a time, where the home's servers find it; `replaced` marks the wind as degraded."""
    rows = {}
    for airport, (at, wind) in winds.items():
        stamp = int(at.timestamp() * 1_000_000)
        row = FeatureRow(stamp, stamp, np.array([10.0, wind, replaced], np.float32))
        rows[entity_key(WEATHER.name, [airport])] = pack_row(row, columns_checksum(columns))
    open_online_store(home).put(rows)
