"""What benchmarks/promotion.py measures: a short road with two releases of departure_delay, its gates bare, its ledger, its log."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from formats.bundle import read_contract
from formats.canonical import canonical_json, sha256_hex
from formats.prediction_log import PredictionRecord
from formats.table_digest import table_digest
from platform_assets.cli.first_prediction import prediction_id, request_body
from platform_assets.monitoring.spool import KEY, log_frame
from platform_assets.promotion.candidate import Candidate, candidate_of, newest_candidate_of
from platform_assets.promotion.case import PromotionCase, load_case
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.live import live_release, pointers
from platform_assets.promotion.policy import load_policy
from platform_assets.promotion.records import Release
from platform_assets.promotion.spec import AnyGate
from resources.lake import Part
from resources.ledger import Draft, Ledger
from resources.sqlite_ledger import SqliteLedger
from tests.support.small_road import ENDPOINT, SmallRoad, definitions

LOG = "aviation/departure_delay/prediction_log"
Floats = NDArray[np.float64]


def road_with_a_release(root: Path) -> SmallRoad:
    """January is trained on and February judged; the model is live in staging and in production."""
    road = SmallRoad(root, definitions())
    road.set_clock(datetime(2013, 3, 1, 5, tzinfo=UTC))
    road.take_in()
    assert road.train().success
    assert road.rehearse().success
    assert road.promote().success
    return road


def road_with_two(road: SmallRoad) -> SmallRoad:
    """A second model, which differs in its seed, is live in staging and evaluated for production."""
    newer = SmallRoad(road.home.root, definitions(seed=1))
    assert newer.train().success
    assert newer.rehearse().success
    return newer


class Recorded(NamedTuple):
    """One call of a graph."""

    session: onnxruntime.InferenceSession
    outputs: Sequence[str]
    feed: Mapping[str, Any]


@contextmanager
def recorded_inference() -> Iterator[list[Recorded]]:
    """Every call of a graph within it."""
    calls: list[Recorded] = []
    run = onnxruntime.InferenceSession.run

    def recording(self: Any, outputs: Any, feed: Any, options: Any = None) -> Any:  # noqa: ANN401 - onnxruntime's own
        calls.append(Recorded(self, outputs, feed))
        return run(self, outputs, feed, options)

    onnxruntime.InferenceSession.run = recording
    try:
        yield calls
    finally:
        onnxruntime.InferenceSession.run = run


class Gates:
    """All gates of the newest candidate of `road`, the policy's and the team's, against the live release."""

    def __init__(self, road: SmallRoad) -> None:
        self._road = road
        installation = road.installation
        entry = newest_candidate_of(installation.ledger, "aviation/departure_delay")
        assert entry is not None
        self.candidate: Candidate = candidate_of(entry)
        self.gates: tuple[AnyGate, ...] = (*load_policy("prod").gates, *self.candidate.gates)
        self.champion: Release = live_release(installation, ENDPOINT)
        self.loaded = self._case()
        with recorded_inference() as calls:
            evaluate(self.loaded, self.gates)
        self.calls = calls

    def ours(self) -> None:
        """Every gate, on a case whose bundles and tables are loaded and whose answers are not computed."""
        evaluate(LoadedCase.of(self.loaded, self._attestation), self.gates)

    def bare(self) -> None:
        """The same calls of the graphs with the same inputs, and the statistics of their answers with numpy and scipy."""
        for call in self.calls:
            call.session.run(call.outputs, call.feed)
        case = self.loaded
        statistics(case.label, case.score, case.champion_score, case.frame, case.training, case.contract_columns)

    def _case(self) -> "LoadedCase":
        installation = self._road.installation
        case = load_case(self.candidate, self.champion, installation.bundles, installation.lake)
        case.require()
        case.model.predict(case.frame.head(1))
        case.champion_model.predict(case.frame.head(1))
        return LoadedCase.of(case, self._attestation)

    def _attestation(self, name: str) -> bytes | None:
        return self._road.installation.bundles.attestation(self.candidate.bundle, name)


class LoadedCase(PromotionCase):
    """A case that shares what another one loaded, and nothing that it computed."""

    @classmethod
    def of(cls, case: PromotionCase, load_attestation: Callable[[str], bytes | None]) -> "LoadedCase":
        """A fresh case on the same bundles and tables."""
        training, champion_model = case.training, case.champion_model
        champion = case.champion
        assert champion is not None
        return cls(
            case.candidate,
            case.model,
            case.frame,
            lambda: training,
            champion._replace(load=lambda: champion_model),
            load_attestation,
        )

    @property
    def contract_columns(self) -> tuple[str, ...]:
        """The numbers that the model takes."""
        return tuple(column.name for column in self.contract.numeric)


def statistics(
    label: NDArray[np.bool_],
    score: Floats,
    champion: Floats,
    frame: pl.DataFrame,
    training: pl.DataFrame,
    numbers: Sequence[str],
) -> None:
    """AUC, log loss against the base rate, DeLong, calibration in ten bins, each column's AUC, and rows in both sets."""
    for values in (score, champion):
        _components(label, values)
        for part in (label, ~label):
            rankdata(values[part])
    rate = np.full(len(score), label.mean())
    for values in (score, rate):
        -np.where(label, np.log(values), np.log1p(-values)).mean()
    bins = np.clip((score * 10).astype(int), 0, 9)
    np.bincount(bins, score, 10) - np.bincount(bins, label, 10)
    for name in numbers:
        column = frame[name].cast(pl.Float64)
        _components(label, np.nan_to_num(column.to_numpy()))
        _components(label, column.is_null().to_numpy().astype(float))
    shared = [name for name in frame.columns if name in training.columns]
    frame.select(shared).unique().join(training.select(shared).unique(), on=shared, how="semi", nulls_equal=True)


def _components(label: NDArray[np.bool_], values: Floats) -> float:
    ranks = rankdata(values)
    positives = int(label.sum())
    area = ranks[label].sum() - positives * (positives + 1) / 2
    return float(area / (positives * (len(label) - positives)))


class Caller(threading.Thread):
    """Asks an endpoint again and again; notes when which bundle answered first, and every request that failed."""

    def __init__(self, road: SmallRoad) -> None:
        super().__init__()
        observed = road.installation.runtime.observe(ENDPOINT)
        assert observed.port is not None
        assert observed.bundle is not None
        self._url = f"http://127.0.0.1:{observed.port}/predict"
        self._body = request_body(road.home, observed.bundle)
        self._over = threading.Event()
        self.first: dict[str, float] = {}
        self.asked, self.failed = 0, 0
        self.prediction = ""

    def run(self) -> None:
        """Ask until `stop`."""
        headers = {"content-type": "application/json"}
        with httpx.Client(timeout=10, headers=headers, trust_env=False) as client:
            while not self._over.is_set():
                self._ask(client)
                time.sleep(0.005)

    def _ask(self, client: httpx.Client) -> None:
        self.asked += 1
        try:
            answer = client.post(self._url, content=self._body)
            answer.raise_for_status()
        except httpx.HTTPError:
            self.failed += 1
            return
        document = answer.json()
        self.first.setdefault(document.get("bundle") or document["predictions"][0]["bundle"], time.monotonic())
        self.prediction = prediction_id(answer.text) or self.prediction

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()


def drafts(first: int, count: int) -> list[Draft]:
    """Retraining decisions, numbered."""
    return [
        Draft("retraining", "aviation/departure_delay", {"number": number}, {"train": False, "because": "no drift"})
        for number in range(first, first + count)
    ]


def filled_ledger(path: Path, rows: int) -> SqliteLedger:
    """A whole ledger of so many rows."""
    ledger, at = SqliteLedger(path), datetime(2013, 4, 1, tzinfo=UTC)
    for first in range(0, rows, 20_000):
        ledger.append_all(drafts(first, min(20_000, rows - first)), actor="bench", at=at)
    return ledger


def appends(ledger: Ledger, count: int) -> Callable[[], None]:
    """So many appends, each a transaction of its own."""
    numbers = iter(range(10**9))

    def run() -> None:
        for _ in range(count):
            (draft,) = drafts(next(numbers), 1)
            ledger.append_all([draft], actor="bench", at=datetime(2013, 4, 1, tzinfo=UTC))

    return run


def inserts(path: Path, count: int) -> Callable[[], None]:
    """So many inserts of as wide a row into a bare table, each a transaction of its own, on one open connection."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE bare (sequence INTEGER PRIMARY KEY, id, kind, subject, inputs, body, actor, at, recorded_at, previous, "
        "hash, keyid, signature)"
    )
    row = ("a" * 71, "retraining", "aviation/departure_delay", '{"number":1}', '{"because":"no drift","train":false}')
    values = (*row, "bench", "2013-04-01T00:00:00Z", "2026-01-01T00:00:00Z", "b" * 71, "c" * 71, None, None)

    def run() -> None:
        for _ in range(count):
            connection.execute("INSERT INTO bare VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    return run


def hashes(rows: Sequence[Mapping[str, Any]]) -> None:
    """The hash of each row's canonical JSON, chained: what verifying cannot do without."""
    previous = ""
    for row in rows:
        previous = sha256_hex(canonical_json({**row, "previous": previous}))


def fill_log(road: SmallRoad, record: PredictionRecord, rows: int, days: int) -> None:
    """A prediction log of so many rows over `days`, of which one in the middle is `record`."""
    lake = road.installation.lake
    contract = read_contract(road.installation.bundles.open(record.bundle))
    row = log_frame([record], contract)
    for day in range(days):
        count = rows // days
        start = datetime(2014, 1, 1, tzinfo=UTC) + timedelta(days=day)
        frame = pl.select(pl.repeat(0, count).alias("row")).join(row, how="cross").drop("row")
        names = _ids(int(start.timestamp() * 1000), count, day)
        if day == days // 2:
            names[count // 2] = record.prediction
        part = frame.with_columns(prediction=pl.Series(names))
        # The digest of ten million rows is another benchmark's.
        lake.replace(LOG, {start.date().isoformat(): Part(part, table_digest(row, KEY))})


def _ids(start: int, count: int, seed: int) -> list[str]:
    """UUIDs of version 7 over one day from `start` (milliseconds), in their order."""
    random = np.random.default_rng(seed)
    stamps = np.sort(random.integers(start, start + 86_400_000, count))
    tails = random.integers(0, 1 << 60, count)
    texts = (f"{stamp:012x}7{tail:015x}" for stamp, tail in zip(stamps.tolist(), tails.tolist(), strict=True))
    return [f"{t[:8]}-{t[8:12]}-{t[12:16]}-8{t[17:20]}-{t[16:28]}" for t in texts]


def earlier(road: SmallRoad) -> str:
    """The bundle that a rollback would go back to."""
    releases = pointers(road.installation).releases(ENDPOINT)
    return next(release.bundle for release in reversed(releases) if release.was_live and release.state != "live")
