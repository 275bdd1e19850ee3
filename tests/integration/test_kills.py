"""kill -9 at a failpoint, then the same again: everything that is stored, and all that runs, is as if nothing had happened."""

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from formats.failpoints import Failpoint
from formats.home import VARIABLE
from formats.identifiers import uuid7
from formats.prediction_log import PredictionRecord, encode_record
from platform_assets.monitoring.reaper import START_TIMEOUT, reap
from resources.clock import wall_now
from resources.experiment_tracking import ExperimentTracking
from tests.support.killed import ACTIONS, LOGGED_DAY, run_killed
from tests.support.processes import eventually
from tests.support.small_road import ENDPOINT, SmallRoad, copy_of, definitions
from tests.support.state import catalog_of, differing, experiments_of, processes_of, state_of

pytestmark = [pytest.mark.kill, pytest.mark.service, pytest.mark.timeout(1800)]

LATER = datetime(2013, 3, 3, 6, tzinfo=UTC)
PATIENCE = 120.0

KILLED = (
    ("table.before_commit", "arrivals"),
    ("table.after_commit", "arrivals"),
    ("object.before_put", "arrivals"),
    ("object.after_put", "arrivals"),
    ("file.before_rename", "training"),
    ("file.after_rename", "training"),
    ("bundle.before_rename", "training"),
    ("bundle.after_rename", "training"),
    ("ledger.before_commit", "training"),
    ("ledger.after_commit", "training"),
    ("ledger.after_commit:2", "training"),
    ("attestation.before_store", "training"),
    ("online_store.before_commit", "online"),
    ("online_store.after_commit", "online"),
    ("anchor.before_write", "prod"),
    ("authority.after_decision", "prod"),
    ("authority.after_signing", "prod"),
    ("endpoint.after_desired", "prod"),
    ("endpoint.after_stable", "prod"),
    ("endpoint.after_live", "prod"),
    ("prediction_log.before_ingest", "log"),
    ("prediction_log.after_ingest", "archive"),
)
# Nothing on the road imports, attests again, removes or erases: test_carry.py and test_reattest.py of unit/promotion,
# unit/retention, unit/erasure.
ELSEWHERE = {
    "import.before_point",
    "attestation.before_again",
    "retention.before_removal",
    "retention.after_removal",
    "erasure.after_order",
    "erasure.after_commit",
    "erasure.after_table",
    "erasure.after_log",
    "online_store.before_exchange",
    "online_store.within_exchange",
}
# The authority is a process of its own: the run that asked it goes on, and fails.
OF_THE_AUTHORITY = ("anchor.", "authority.")

Unharmed = Callable[[str], dict[str, Any]]


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


@pytest.fixture(scope="module")
def unharmed(base: SmallRoad, tmp_path_factory: pytest.TempPathFactory) -> Unharmed:
    """What each action leaves behind when nothing happens to it."""

    @cache
    def after(action: str) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            return _repeated(_copy(base, tmp_path_factory.mktemp("unharmed"), action, patch), action)

    return after


@pytest.mark.parametrize(("failpoint", "action"), KILLED)
def test_killed_and_run_again(
    failpoint: str,
    action: str,
    base: SmallRoad,
    unharmed: Unharmed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = unharmed(action)
    road = _copy(base, tmp_path / "killed", action, monkeypatch)
    ended = run_killed(road.home.root, action, failpoint)
    if failpoint.startswith(OF_THE_AUTHORITY):
        assert (ended.returncode, f"status {-signal.SIGKILL};" in ended.stderr) == (1, True), ended.stderr[-2000:]
    else:
        assert ended.returncode == -signal.SIGKILL, f"{failpoint} was not passed"
    found = _repeated(road, action, like=expected["processes"])
    assert list(differing(found, expected)) == []


def test_every_failpoint_has_a_kill_test() -> None:
    assert {failpoint.partition(":")[0] for failpoint, _ in KILLED} | ELSEWHERE == set(get_args(Failpoint))


def _repeated(road: SmallRoad, action: str, *, like: list[str] | None = None) -> dict[str, Any]:
    """The road's state once what a crash left open is closed, `action` is done, and the processes `like` run, if they are known."""
    try:
        # The killed process ran alone: no daemon has waited out the time in which a run must get a process.
        reap(road.instance, ExperimentTracking(folder=str(road.home.root)), wall_now() + 2 * START_TIMEOUT)
        assert ACTIONS[action](road)
        eventually(lambda: _is_settled(road) and like in (None, processes_of(road.home)), PATIENCE)
        return {
            **state_of(road.home),
            "experiments": experiments_of(road.home, road.instance),
            "catalog": catalog_of(road.instance),
            "processes": processes_of(road.home),
            "served": _served(road),
        }
    finally:
        road.close()


def _served(road: SmallRoad) -> dict[str, Any]:
    """What each endpoint runs, as its runtime sees it."""
    names = [f"{path.parent.relative_to(road.home.root / 'endpoints')}/endpoint" for path in _desired(road)]
    seen = [road.installation.runtime.observe(name) for name in sorted(names)]
    return {at.endpoint: (at.stable, at.release, at.bundle, at.sequence, at.restarts, at.desired) for at in seen}


def _is_settled(road: SmallRoad) -> bool:
    """Whether nothing runs, or every endpoint that has a release serves it."""
    return not processes_of(road.home) or all(stable for stable, *_ in _served(road).values())


def _desired(road: SmallRoad) -> list[Path]:
    return list((road.home.root / "endpoints").glob("**/release.json"))


def _copy(base: SmallRoad, root: Path, action: str, patch: pytest.MonkeyPatch) -> SmallRoad:
    patch.setenv(VARIABLE, str(root))
    road = copy_of(base, root, definitions())
    if action == "archive":
        assert ACTIONS["log"](road)
    return road


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
