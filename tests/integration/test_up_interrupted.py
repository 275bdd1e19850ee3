"""`make up` interrupted at one stage after the other ends as one that nothing happened to: nothing missing, twice or left over."""

import os
import shutil
import signal
import subprocess
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from formats.home import Home
from platform_assets.cli import workspace
from platform_assets.cli.dagster_home import open_instance
from platform_assets.cli.progress import last_words
from platform_assets.cli.site import Site
from resources.installation import installation_at
from resources.lake import Lake
from tests.support.clone import Clone, fresh_clone, processes_in
from tests.support.processes import eventually, marked
from tests.support.state import by_name, catalog_of, differing, experiments_of, state_of
from tests.support.steps import PATIENCE, Step, run

pytestmark = [pytest.mark.kill, pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(3600)]

_ROAD = "aviation/departure_delay"
PREDICTIONS = f"{_ROAD}/batch_predictions"
# What names a release, whose id follows from what a stopwatch said, or counts the answers: those of a rehearsal that was
# interrupted are on record as well, and the one that `up` prints is a prediction of its own.
OWN = {PREDICTIONS, f"{_ROAD}/prediction_log", f"{_ROAD}/staging/audit", f"{_ROAD}/prod/audit"}


def kill_all(clone: Clone, up: "subprocess.Popen[bytes]") -> None:
    """The machine loses power: `up` and all that it started end at once."""
    for process in {*marked(clone.home), *processes_in(clone.root), psutil.Process(up.pid)}:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def press_ctrl_c(_: Clone, up: "subprocess.Popen[bytes]") -> None:
    """The person stops watching; the services go on."""
    os.killpg(up.pid, signal.SIGINT)


def take_down(clone: Clone, up: "subprocess.Popen[bytes]") -> None:
    """Somebody else types `make down` meanwhile."""
    run(Step("make down", ("down ",)), clone)
    os.killpg(up.pid, signal.SIGINT)


Interruption = Callable[[Clone, "subprocess.Popen[bytes]"], None]

# What `up` has said when it is interrupted.
INTERRUPTIONS: tuple[tuple[str, Interruption], ...] = (
    ("start    daemon", kill_all),
    ("aviation/outcomes", press_ctrl_c),
    ("aviation/carrier_record", kill_all),
    (f"{_ROAD}/evaluation_set", kill_all),
    (f"{_ROAD}/evaluation", take_down),
    (f"{_ROAD}/staging/endpoint", kill_all),
)


@contextmanager
def one_team(folder: Path) -> Iterator[Clone]:
    """A clone with team aviation alone: what two teams do at once stands in the ledger in one order or the other."""
    with fresh_clone(folder / "roadbed") as clone:
        for team in (clone.root / "team_projects").iterdir():
            if team.name != "aviation":
                shutil.rmtree(team)
        workspace.write(clone.root)
        yield clone


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `up` leaves when nothing happens to it."""
    with one_team(tmp_path_factory.mktemp("unharmed")) as clone:
        yield left_by(clone)


def test_interrupted_anywhere_the_next_one_goes_on(
    unharmed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with one_team(tmp_path_factory.mktemp("interrupted")) as clone:
        for said, interrupt in INTERRUPTIONS:
            interrupted(clone, said, interrupt)
        assert list(differing(left_by(clone), unharmed)) == []


def interrupted(clone: Clone, said: str, interrupt: Interruption) -> None:
    """Type `make up`, and interrupt it once it has said so."""
    log = clone.root.parent / "up.log"
    with log.open("wb") as sink:
        up = subprocess.Popen(
            ["make", "up"],
            cwd=clone.root,
            env=clone.environment({"PYTHONUNBUFFERED": "1"}),
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    eventually(lambda: f"{said}\n" in log.read_text() or up.poll() is not None, PATIENCE)
    assert up.poll() is None, f"`up` ended before it had said {said}:\n{log.read_text()}"
    interrupt(clone, up)
    up.wait(PATIENCE)


def left_by(clone: Clone) -> dict[str, Any]:
    """Everything that is stored and known once `up` has ended and the sensors have nothing more to do."""
    run(Step("make up", ("the UI is at",)), clone)
    with open_instance(Site(clone.root, clone.home, clone.port)) as instance:
        eventually(partial(is_quiet, instance), PATIENCE)
        assert any(words.startswith("departure_delay_prod, ") and "is live" in words for words in last_words(instance))
        run(Step("make down", ("down ",)), clone)
        assert marked(clone.home) == []
        return found(clone.home, instance)


def found(home: Home, instance: dg.DagsterInstance) -> dict[str, Any]:
    """The state by part, with what is comparable of `OWN`: which partitions there are, and what was predicted."""
    state, catalog = state_of(home), catalog_of(instance)
    del state["spool"]
    state["lake"] = {place: rows for place, rows in state["lake"].items() if place.partition("[")[0] not in OWN}
    state["catalog"] = {name: known[1:] if name in OWN else known for name, known in catalog.items()}
    state["ledger"]["entries"] = without_noes(state["ledger"]["entries"])
    state["experiments"] = experiments_of(home, instance)
    state["predictions"] = predictions(installation_at(home).lake)
    return dict(by_name(state, home))


def without_noes(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries but for decisions not to train, numbered anew, also where a decision names the last it weighed."""
    kept = [entry for entry in entries if not is_no(entry)]
    numbers = [entry["sequence"] for entry in kept]
    for entry in kept:
        entry["sequence"] = bisect_right(numbers, entry["sequence"])
        if (weighed := entry["body"].get("weighed_after")) is not None:
            entry["body"]["weighed_after"] = bisect_right(numbers, weighed)
    return kept


def is_no(entry: Mapping[str, Any]) -> bool:
    """Whether it was decided not to train: that is said whenever the sensor looks, before other entries or after."""
    return entry["kind"] == "retraining" and not entry["body"]["train"]


def predictions(lake: Lake) -> list[Any]:
    """Every prediction of a day, without the release that made it."""
    rows = lake.scan(PREDICTIONS, sorted(lake.digests(PREDICTIONS))).collect().drop("release")
    return rows.sort(rows.columns).rows()


def is_quiet(instance: dg.DagsterInstance) -> bool:
    """Whether no run is open, and every sensor has looked since the last one ended and asked for nothing."""
    runs = instance.get_run_records()
    ended = [record.end_time for record in runs if record.dagster_run.is_finished]
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    looks = [instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) for state in states]
    newest = [(tick.timestamp, tick.status) for ticks in looks for tick in ticks]
    return len(ended) == len(runs) and all(
        status == TickStatus.SKIPPED and at > max(end or 0.0 for end in ended) for at, status in newest
    )
