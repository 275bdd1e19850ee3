"""Processes are believed to be ours only when that can be proven."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from formats.home import Home
from platform_assets.cli.processes import MARK, Processes, Record, Service, is_same_process, tail

SLEEP = "import time; time.sleep(300)"
# A child in a session of its own, whose parent then ends.
ORPHANING = (
    "import subprocess, sys, time;"
    f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True);"
    "time.sleep(300)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
)


@pytest.fixture
def processes(home: Home) -> Iterator[Processes]:
    home.run.mkdir()
    home.logs.mkdir()
    kept = Processes(home)
    yield kept
    for name in kept.names():
        kept.stop(name, patience=0.2)


def service(code: str, name: str = "sleeper", inputs: str = "") -> Service:
    return Service(name, [sys.executable, "-c", code], dict(os.environ), Path.cwd(), inputs)


def pid_file(processes: Processes, name: str = "sleeper") -> Path:
    return processes.home.run / "services" / f"{name}.pid"


def test_started_once(processes: Processes) -> None:
    assert processes.start(service(SLEEP))
    first = processes.record("sleeper")
    assert first is not None
    assert not processes.start(service(SLEEP))
    assert processes.record("sleeper") == first
    assert processes.stop("sleeper")
    assert not psutil.pid_exists(first.pid) or not is_same_process(first.pid, first.started)
    assert processes.names() == []


def test_started_again_when_what_it_read_has_changed(processes: Processes) -> None:
    processes.start(service(SLEEP))
    first = processes.record("sleeper")
    assert processes.start(service(SLEEP, inputs="other"))
    second = processes.record("sleeper")
    assert first is not None
    assert second is not None
    assert first.pid != second.pid
    assert not is_same_process(first.pid, first.started)


def test_down_never_kills_a_stranger_with_a_recycled_pid(processes: Processes) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", SLEEP])
    try:
        started = psutil.Process(stranger.pid).create_time()
        pid_file(processes).parent.mkdir()
        for claimed in (started - 60, started):
            # Also with the right start time the mark is missing: nobody of ours.
            pid_file(processes).write_bytes(msgspec.json.encode(Record(stranger.pid, claimed, "sha256:0")))
            assert not processes.stop("sleeper", patience=0.2)
            assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_orphans_of_a_killed_process_are_found(processes: Processes) -> None:
    processes.start(service(ORPHANING))
    record = processes.record("sleeper")
    assert record is not None
    deadline = time.monotonic() + 20
    while not (children := psutil.Process(record.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(record.pid, signal.SIGKILL)
    pid_file(processes).unlink()
    assert processes.names() == ["sleeper"]
    assert processes.stop("sleeper", patience=2)
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_what_ignores_a_request_is_killed(processes: Processes) -> None:
    processes.start(service(STUBBORN))
    record = processes.record("sleeper")
    assert record is not None
    deadline = time.monotonic() + 20
    while "up" not in tail(processes.log("sleeper")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert processes.stop("sleeper", patience=0.1)
    assert not is_same_process(record.pid, record.started)


def test_a_dead_process_or_a_torn_file_is_no_record(processes: Processes) -> None:
    processes.start(service("pass"))
    deadline = time.monotonic() + 20
    while processes.record("sleeper") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid_file(processes).write_text("{")
    assert processes.record("sleeper") is None
    assert processes.start(service(SLEEP))


def test_children_can_be_interrupted_though_the_shell_ignores_it(processes: Processes) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        processes.start(service("import signal; print(signal.getsignal(signal.SIGINT), flush=True)"))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 20
    while not tail(processes.log("sleeper")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "default_int_handler" in tail(processes.log("sleeper"))


def test_other_homes_are_left_alone(processes: Processes, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.run.mkdir(parents=True)
    other.logs.mkdir()
    neighbours = Processes(other)
    neighbours.start(service(SLEEP))
    try:
        assert processes.names() == []
        assert not processes.stop("sleeper", patience=0.1)
        record = neighbours.record("sleeper")
        assert record is not None
        assert psutil.Process(record.pid).environ()[MARK] == f"sleeper@{other.root}"
    finally:
        neighbours.stop("sleeper", patience=1)
