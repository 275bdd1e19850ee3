"""Dagster's SQLite with kept connections: what is written is there for every process, whoever dies, and written back at the end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import dagster as dg
import psutil
import pytest
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from formats.home import Home
from resources.dagster_storage import KeptEventLogStorage
from tests.support.dagster_settings import instance_settings
from tests.support.processes import ROOT

RUNS = 40
THEIRS = "telemetry: {enabled: false}\n"


@dg.asset
def arrived(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"by": context.run_id})


@dg.job
def nothing() -> None: ...


@pytest.fixture
def ours(home: Home) -> Iterator[dg.DagsterInstance]:
    home.dagster.mkdir()
    with opened(home, instance_settings(home)) as instance:
        yield instance


def opened(home: Home, settings: str) -> dg.DagsterInstance:
    (home.dagster / "dagster.yaml").write_text(settings)
    return dg.DagsterInstance.from_config(str(home.dagster))


def told(instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    """Each run that is known, and who materialized the asset, in the order of the index."""
    events = instance.fetch_materializations(dg.AssetKey("arrived"), limit=1000).records
    return [(record.run_id, str(record.asset_materialization.metadata["by"].value)) for record in events]  # type: ignore[union-attr]


def test_it_is_the_storage_of_the_installation(ours: dg.DagsterInstance) -> None:
    assert isinstance(ours.event_log_storage, KeptEventLogStorage)


def test_both_storages_read_what_the_other_writes_while_both_are_open(home: Home, ours: dg.DagsterInstance) -> None:
    with opened(home, THEIRS) as theirs:
        assert type(theirs.event_log_storage) is SqliteEventLogStorage
        for instance in (ours, theirs, ours, theirs):
            assert dg.materialize([arrived], instance=instance).success
        found = told(ours)
        assert len(found) == 4
        assert all(run == by for run, by in found)
        assert told(theirs) == found
        logs = {run: [entry.dagster_event_type for entry in ours.all_logs(run)] for run, _ in found}
        assert logs == {run: [entry.dagster_event_type for entry in theirs.all_logs(run)] for run, _ in found}
        assert all(events[-1] == dg.DagsterEventType.RUN_SUCCESS for events in logs.values())
        assert [run.run_id for run in theirs.get_runs()] == [run for run, _ in found]


def test_many_runs_leave_few_files_open(home: Home, ours: dg.DagsterInstance) -> None:
    for _ in range(RUNS):
        ours.report_engine_event("read on", ours.create_run_for_job(nothing))
    for run in ours.get_runs():
        assert [entry.message for entry in ours.all_logs(run.run_id)] == ["read on"]
    open_ = [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(home.dagster)]
    assert len({path for path in open_ if path.endswith(".db")}) < RUNS / 2


def test_what_is_disposed_of_is_written_back(home: Home, ours: dg.DagsterInstance) -> None:
    assert dg.materialize([arrived], instance=ours).success
    assert list((home.dagster / "history").rglob("*.db-wal")) != []
    ours.dispose()
    assert list((home.dagster / "history").rglob("*.db-wal")) == []


def test_who_watches_a_run_hears_of_what_is_not_written_back(home: Home, ours: dg.DagsterInstance) -> None:
    run = ours.create_run_for_job(nothing)
    heard, done = list[str](), threading.Event()

    def hear(entry: dg.EventLogEntry, _cursor: str) -> None:
        heard.append(entry.message)
        if entry.message == "third":
            done.set()

    with opened(home, instance_settings(home)) as writer:
        writer.report_engine_event("first", run)
        ours.watch_event_logs(run.run_id, None, hear)
        for message in ("second", "third"):
            writer.report_engine_event(message, run)
        assert done.wait(60)
        ours.end_watch_event_logs(run.run_id, hear)
        writer.report_engine_event("fourth", run)
    assert heard == ["first", "second", "third"]


def test_after_a_wipe_nothing_is_left_and_all_goes_on(ours: dg.DagsterInstance) -> None:
    assert dg.materialize([arrived], instance=ours).success
    ours.event_log_storage.wipe()
    assert told(ours) == []
    run = dg.materialize([arrived], instance=ours).run_id
    assert told(ours) == [(run, run)]


def test_threads_write_at_the_same_time(ours: dg.DagsterInstance) -> None:
    runs = [ours.create_run_for_job(nothing) for _ in range(8)]

    def write(run: dg.DagsterRun) -> None:
        for number in range(20):
            ours.report_engine_event(str(number), run)
            ours.add_run_tags(run.run_id, {"number": str(number)})

    threads = [threading.Thread(target=write, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in runs:
        assert [entry.message for entry in ours.all_logs(run.run_id)] == [*map(str, range(20))]
    assert [run.tags["number"] for run in ours.get_runs()] == ["19"] * len(runs)


KILLED = """
    import os, signal, sys
    import dagster as dg

    @dg.asset
    def arrived(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"by": context.run_id})

    instance = dg.DagsterInstance.from_config(sys.argv[1])
    print(dg.materialize([arrived], instance=instance).run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.kill
def test_a_killed_writer_loses_nothing_that_it_had_stored(home: Home, ours: dg.DagsterInstance, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(dedent(KILLED))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", str(script), str(home.dagster)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    run = ended.stdout.strip()
    assert told(ours) == [(run, run)]
    assert [*ours.all_logs(run)][-1].dagster_event_type == dg.DagsterEventType.RUN_SUCCESS


def test_who_opens_what_is_there_loads_no_migrations(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    load = ScriptDirectory.from_config
    monkeypatch.setattr(ScriptDirectory, "from_config", lambda config: loaded.append(config) or load(config))
    home.dagster.mkdir()
    with opened(home, instance_settings(home)) as instance:
        run = dg.materialize([arrived], instance=instance).run_id
    assert loaded
    loaded.clear()
    with opened(home, instance_settings(home)) as instance:
        assert told(instance) == [(run, run)]
        assert instance.get_run_by_id(run) is not None
        assert instance.all_logs(run)
    assert loaded == []


@pytest.mark.parametrize("name", ["history/runs.db", "schedules/schedules.db", "history/runs/index.db"])
@pytest.mark.parametrize("left", [None, b""], ids=["removed", "empty"])
def test_a_database_without_tables_gets_them(home: Home, name: str, left: bytes | None) -> None:
    home.dagster.mkdir()
    for _ in range(2):
        with opened(home, instance_settings(home)) as instance:
            run = dg.materialize([arrived], instance=instance).run_id
            assert (run, run) in told(instance)
            assert instance.get_run_by_id(run) is not None
            assert instance.all_instigator_state() == []
        place = home.dagster / name
        assert place.is_file()
        place.unlink()
        if left is not None:
            place.write_bytes(left)
