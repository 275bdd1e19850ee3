"""kill -9 at a failpoint, then the same again: digests, pointers and processes are as if nothing had happened."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from formats.failpoints import Failpoint
from formats.home import VARIABLE
from formats.identifiers import uuid7
from formats.prediction_log import PredictionRecord, encode_record
from platform_assets.monitoring.spool import closed_segments
from platform_assets.promotion.live import pointers
from tests.support.killed import ACTIONS, LOGGED_DAY, run_killed
from tests.support.small_road import ENDPOINT, SmallRoad, copy_of, definitions

pytestmark = [pytest.mark.kill, pytest.mark.service, pytest.mark.timeout(1800)]

LATER = datetime(2013, 3, 3, 6, tzinfo=UTC)

# Failpoints of the ledger, its anchor and the authority are killed in test_authority.py.
KILLED: dict[Failpoint, str] = {
    "file.before_rename": "arrivals",
    "file.after_rename": "arrivals",
    "table.before_commit": "arrivals",
    "table.after_commit": "arrivals",
    "bundle.before_rename": "model",
    "bundle.after_rename": "model",
    "online_store.before_commit": "online",
    "online_store.after_commit": "online",
    "endpoint.after_desired": "prod",
    "endpoint.after_stable": "prod",
    "endpoint.after_live": "prod",
    "prediction_log.before_ingest": "log",
    "prediction_log.after_ingest": "archive",
}
ELSEWHERE = {"ledger.before_commit", "ledger.after_commit", "anchor.before_write"}
ELSEWHERE |= {"authority.after_decision", "authority.after_signing"}
ELSEWHERE |= {"retention.before_removal", "retention.after_removal"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """Two months are in, a passing candidate is evaluated, the prediction log has a closed segment."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("base")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions())
    road.set_clock(LATER)
    road.take_in()
    assert road.train().success
    assert road.rehearse().success
    road.rest()
    _log_predictions(road)
    yield road
    road.close()
    patch.undo()


@pytest.mark.parametrize("failpoint", KILLED)
def test_killed_and_run_again(
    failpoint: Failpoint, base: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = KILLED[failpoint]
    killed, unharmed = (_copy(base, tmp_path / name, action) for name in ("killed", "unharmed"))
    status = run_killed(killed.home.root, action, failpoint)
    assert status == -signal.SIGKILL, f"{failpoint} was not passed"
    try:
        for road in (killed, unharmed):
            monkeypatch.setenv(VARIABLE, str(road.home.root))
            assert ACTIONS[action](road)
        assert _state(killed) == _state(unharmed)
    finally:
        killed.close()
        unharmed.close()


def test_every_failpoint_has_a_kill_test() -> None:
    assert set(KILLED) | ELSEWHERE == set(get_args(Failpoint))


def _copy(base: SmallRoad, root: Path, action: str) -> SmallRoad:
    road = copy_of(base, root, definitions())
    if action == "model":
        for path in sorted((road.home.bundles / "names").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        for folder in road.home.bundles.iterdir():
            if folder.name != "names":
                folder.rename(root / f"{folder.name}.away")
    if action == "archive":
        assert ACTIONS["log"](road)
    return road


def _state(road: SmallRoad) -> dict[str, object]:
    """What must be the same: tables, bundles, releases, what is served, what is spooled."""
    lake = road.installation.lake
    folders = {path.parent for path in road.home.lake.rglob("_digests.json")}
    tables = {folder.relative_to(road.home.lake).as_posix() for folder in folders}
    names = road.home.bundles / "names"
    served = pointers(road.installation).champion(ENDPOINT)
    return {
        "tables": {table: lake.digests(table) for table in sorted(tables)},
        "rows": {table: lake.scan(table).collect().height for table in sorted(tables)},
        "bundles": {
            path.relative_to(names).as_posix(): path.read_text() for path in names.rglob("*") if path.is_file()
        },
        "champion": None if served is None else (served.bundle, served.sequence, served.state),
        "releases": len(pointers(road.installation).releases(ENDPOINT)),
        "spooled": len(closed_segments(road.home.endpoint(ENDPOINT))),
        "online": (road.home.online / "data.mdb").exists(),
    }


def _log_predictions(road: SmallRoad) -> None:
    asked = datetime.fromisoformat(f"{LOGGED_DAY}T06:00:00+00:00")
    records = [
        PredictionRecord(
            prediction=uuid7(),
            endpoint=ENDPOINT,
            release="sha256:r",
            bundle="sha256:b",
            asked_at=asked,
            served_at=asked,
            request={"carrier": "B6"},
            features={"carrier": "B6"},
            probability=0.5,
        )
        for _ in range(3)
    ]
    spool = road.home.endpoint(ENDPOINT) / "spool"
    spool.mkdir(parents=True)
    (spool / "1-1.log").write_bytes(b"".join(map(encode_record, records)))
