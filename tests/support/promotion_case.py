"""A tiny world for promotion: two numbers and a text column, a logistic ONNX graph over them, its lake, bundles and ledger."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import polars as pl
import yaml
from onnx import TensorProto, helper

from formats.canonical import canonical_json, sha256_hex
from formats.contract import Column, ServingContract, View
from formats.home import Home
from formats.profile import ReferenceProfile
from formats.table_digest import table_digest
from platform_assets.promotion.candidate import Candidate, Fingerprint, record_candidate
from platform_assets.promotion.case import Champion, PromotionCase
from platform_assets.promotion.desk import Desk
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.inference import Model, load_model
from platform_assets.promotion.keys import create_key
from platform_assets.promotion.lifecycle import live, rolling
from platform_assets.promotion.messages import Live, Moved, Rolling
from platform_assets.promotion.policy import load_policy
from platform_assets.promotion.spec import AnyGate, CardComplete, DependenciesScanned, GateResult, Rehearsed
from resources.bundle_store import FileBundleStore
from resources.lake import Part
from resources.lake_places import open_lake
from resources.ledger import Entry
from resources.sqlite_ledger import SqliteLedger
from resources.table_ref import TableRef
from tests.support.attested import sign_bundle

MODEL = "aviation/delay"
ENDPOINT = f"{MODEL}/prod/endpoint"
KEY = ("flight",)
CUTOFF = datetime(2013, 4, 1, tzinfo=UTC)
UNTIL = datetime(2013, 5, 1, tzinfo=UTC)
AIRPORTS = ("EWR", "JFK", "LGA")
GOOD = (1.5, -1.0)
BETTER = (1.5, -0.9)
POOR = (0.01, 0.3)
MEASUREMENTS = {"parity_max_difference": 1e-7, "parity_rows": 500.0, "latency_p99_ms": 0.4}

FINGERPRINT = Fingerprint(
    code="sha256:c0de",
    lock="sha256:10c4",
    config="sha256:c0f1",
    seed=7,
    threads=1,
    hardware="x86_64-avx2",
    commit="abc",
    authors=("maker@example.org",),
)


def contract() -> ServingContract:
    columns = (
        Column(name="wind", type="float", view="aviation/weather@1", nullable=True, unit="m/s"),
        Column(name="hour", type="int"),
        Column(name="origin", type="text", allowed=AIRPORTS),
    )
    view = View(name="aviation/weather@1", keys=("origin",), columns=("wind",), time_to_live=3600.0)
    return ServingContract(model=MODEL, columns=columns, views=(view,))


def graph(weights: tuple[float, float], output: str = "probability", width: int = 2) -> bytes:
    """sigmoid(numbers . weights + value of the airport), NaN counted as 0."""
    constants = {
        "weights": np.array([*weights, *[0] * (width - 2)], np.float32).reshape(width, 1),
        "zero": np.zeros(1, np.float32),
        "flat": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("IsNaN", ["numeric"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numeric"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["linear"]),
        helper.make_node(
            "LabelEncoder",
            ["categorical"],
            ["airport"],
            domain="ai.onnx.ml",
            keys_strings=list(AIRPORTS),
            values_floats=[0.5, 0.0, -0.5],
            default_float=0.0,
        ),
        helper.make_node("Add", ["linear", "airport"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["chance"]),
        helper.make_node("Reshape", ["chance", "flat"], [output]),
    ]
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.FLOAT, [None, width]),
        helper.make_tensor_value_info("categorical", TensorProto.STRING, [None, 1]),
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None])]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "delay", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def payload(weights: tuple[float, float] = GOOD, **changes: bytes) -> dict[str, bytes]:
    files = {
        "model.onnx": graph(weights),
        "contract.json": msgspec.json.encode(contract()),
        "profile.json": msgspec.json.encode(ReferenceProfile(rows=0, columns={})),
        "example.json": b'{"request":{"wind":0.0,"hour":0,"origin":"JFK"},"answer":0.5}',
    }
    return {**files, **changes}


def rows(count: int, start: datetime, end: datetime, seed: int) -> pl.DataFrame:
    """`count` flights between `start` and `end` whose delay really follows GOOD; a twentieth has no wind."""
    random = np.random.default_rng(seed)
    wind, hour = random.normal(size=count), random.integers(-2, 3, count)
    origin = random.choice(AIRPORTS, count)
    lean = wind * GOOD[0] + hour * GOOD[1] + np.select([origin == "EWR", origin == "LGA"], [0.5, -0.5])
    late = random.random(count) < 1 / (1 + np.exp(-lean))
    seconds = (end - start).total_seconds()
    asked = [start + timedelta(seconds=float(share) * seconds) for share in np.linspace(0, 0.999, count)]
    frame = pl.DataFrame(
        {
            "flight": [f"{seed}-{number}" for number in range(count)],
            "asked_at": pl.Series(asked, dtype=pl.Datetime("us", "UTC")),
            "wind": wind,
            "hour": hour,
            "origin": origin,
            "late": late.astype(np.int64),
        }
    )
    return frame.with_columns(wind=pl.when(pl.int_range(pl.len()) % 20 == 0).then(None).otherwise(pl.col("wind")))


def training_rows() -> pl.DataFrame:
    return rows(600, CUTOFF - timedelta(days=90), CUTOFF, seed=1)


def holdout_rows() -> pl.DataFrame:
    return rows(600, CUTOFF, UNTIL, seed=2)


def candidate(**changes: Any) -> Candidate:
    """A complete candidate, not in any ledger; references name nothing unless they are given."""
    fields: dict[str, Any] = {
        "model": MODEL,
        "bundle": "sha256:candidate",
        "partition": "2013-03-01",
        "cutoff": CUTOFF,
        "fingerprint": FINGERPRINT,
        "training_set": TableRef(f"{MODEL}/training_set", "2013-03-01", "sha256:t"),
        "evaluation_set": TableRef(f"{MODEL}/evaluation_set", "2013-03-01", "sha256:e"),
        "key": KEY,
        "time_column": "asked_at",
        "label": "late",
        "judged_from": CUTOFF,
        "judged_until": UNTIL,
        "measurements": MEASUREMENTS,
        "dagster_run": "run-1",
        "mlflow_run": "run-2",
    }
    return Candidate(**{**fields, **changes})


def model(folder: Path, weights: tuple[float, float] = GOOD, **changes: bytes) -> Model:
    store = FileBundleStore(folder)
    return load_model(store.open(store.put(payload(weights, **changes))))


def case(
    folder: Path,
    weights: tuple[float, float] = GOOD,
    *,
    champion: tuple[float, float] | None = None,
    champion_cutoff: datetime = CUTOFF,
    frame: pl.DataFrame | None = None,
    training: pl.DataFrame | None = None,
    files: Mapping[str, bytes] | None = None,
    documents: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> PromotionCase:
    """A case without ledger and lake; `documents` are attestations that the candidate recorded."""
    beside = documents or {}
    recorded = {name: f"sha256:{sha256_hex(document)}" for name, document in beside.items()}
    opponent = None
    if champion is not None:
        opponent = Champion("sha256:live", f"sha256:{champion}", champion_cutoff, lambda: model(folder, champion))
    seen = training_rows() if training is None else training
    return PromotionCase(
        candidate(**{"attestations": recorded, **changes}),
        model(folder, weights, **(files or {})),
        holdout_rows() if frame is None else frame,
        lambda: seen,
        opponent,
        beside.get,
    )


def one_environment() -> str:
    """The package's policy of production without what it asks of staging and of documents: this world has neither."""
    policy = load_policy("prod")
    absent = (Rehearsed, CardComplete, DependenciesScanned)
    gates = tuple(gate for gate in policy.gates if not isinstance(gate, absent))
    document = msgspec.to_builtins(msgspec.structs.replace(policy, gates=gates, after=None))
    return str(yaml.safe_dump(document))


def install_policy(home: Home, text: str, environment: str = "prod") -> None:
    """Give an installation a policy of its own."""
    folder = home.authority / "policies"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{environment}.yaml").write_text(text)


def run(found: PromotionCase, gate: AnyGate) -> GateResult:
    """What the gate says, in a form that the ledger takes."""
    (result,) = evaluate(found, [gate])
    canonical_json(msgspec.to_builtins(result))
    return result


class Handles:
    """An installation as it lies in its folder."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.lake = open_lake(self.home)
        self.bundles = FileBundleStore(self.home.bundles)
        self.ledger = SqliteLedger(self.home.ledger)


class World(Handles):
    """An installation with a training set and a hold-out."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        install_policy(self.home, one_environment())
        self.training_set = self.store("training_set", training_rows())
        self.evaluation_set = self.store("evaluation_set", holdout_rows())

    def store(self, table: str, frame: pl.DataFrame, partition: str = "2013-03-01") -> TableRef:
        ref = TableRef(f"{MODEL}/{table}", partition, table_digest(frame, KEY))
        self.lake.replace(ref.table, {partition: Part(frame, ref.digest)})
        return ref

    def propose(self, weights: tuple[float, float] = GOOD, **changes: Any) -> str:
        """Build a bundle and record it as a candidate; returns its digest."""
        bundle = self.bundles.put(payload(weights))
        self.record(bundle, **changes)
        return bundle

    def record(self, bundle: str, **changes: Any) -> Entry:
        fields = {
            "bundle": bundle,
            "training_set": self.training_set,
            "evaluation_set": self.evaluation_set,
            "measurements": {**MEASUREMENTS, "memory_bytes": 1e6},
        }
        found = candidate(**{**fields, **changes})
        if (self.home.bundles / bundle.removeprefix("sha256:")).exists():
            sign_bundle(self.home.bundles, found, create_key(self.home))
        return record_candidate(self.ledger, found, actor="training", at=CUTOFF)

    def serve(self, release: str, bundle: str, port: int, *, stable: bool = True) -> None:
        """Say what a reconciler would say about the endpoint."""
        folder = self.home.endpoint(ENDPOINT)
        folder.mkdir(parents=True, exist_ok=True)
        observed = {"release": release, "bundle": bundle, "stable": stable}
        (folder / "observed.json").write_text(json.dumps(observed))
        (folder / "port").write_text(str(port))


@contextmanager
def server(answer: Mapping[str, Any], status: int = 200) -> Iterator[int]:
    """An endpoint whose /readyz gives `answer`; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found.server_port
        finally:
            found.shutdown()
            thread.join()


def run_authority(home: Home, request: Mapping[str, Any], failpoint: str | None = None) -> "subprocess.Popen[bytes]":
    """Start the authority's process with this request."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "platform_assets.promotion.authority", "--home", str(home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", **({"ROADBED_FAILPOINT": failpoint} if failpoint else {})},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(request).encode())
    process.stdin.close()
    process.stdin = None
    return process


def go_live(world: World, release: str, bundle: str) -> Moved:
    """Roll a release out, in this process."""
    rolling(Desk(world.home), Rolling(release=release))
    with server({"release": release, "bundle": bundle, "sequence": 0, "state": "serving"}) as port:
        world.serve(release, bundle, port)
        return live(Desk(world.home), Live(release=release, observed=bundle))


def answer_of(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    out, error = process.communicate(timeout=120)
    assert out, error.decode()
    return dict(json.loads(out))
