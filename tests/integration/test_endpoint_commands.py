"""`roadbed endpoint ...` as it is typed, against real servers."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from formats.home import VARIABLE
from platform_assets.cli.endpoint_view import EndpointStatus
from platform_assets.cli.first_prediction import FIRST_MODEL
from platform_assets.cli.main import app
from platform_assets.cli.progress import _served
from resources.endpoint_state import Observed
from resources.endpoint_wishes import Settings
from tests.support.bundles import ENDPOINT
from tests.support.processes import PATIENCE, ROOT, eventually
from tests.support.runtime_place import Installation, running

pytestmark = pytest.mark.service


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with running(tmp_path) as installation:
        yield installation


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["endpoint", *words])


def test_before_anything_is_released(site: Installation) -> None:
    assert site.home.root.is_dir()
    nothing = typed("list")
    assert (nothing.exit_code, nothing.stdout.split()[0]) == (0, "none")
    assert json.loads(typed("list", "--json").stdout) == {}
    for words in (["status"], ["logs"], ["restart"], ["sleep", "--reason", "a test"], ["wake"]):
        verb, *options = words
        result = typed(verb, ENDPOINT, *options)
        assert result.exit_code == 1, verb
        assert f"{ENDPOINT} has no release" in result.stderr
        assert "docs/troubleshooting.md#endpoint-not-found" in result.stderr


def test_a_day_of_an_endpoint(site: Installation) -> None:
    document = site.apply(1)
    seen = site.stable(document)
    listed = typed("list")
    row = next(line for line in listed.stdout.splitlines() if ENDPOINT in line)
    assert all(part in row for part in ("stable", document.release, str(seen.port), str(seen.pid), " UTC"))
    assert msgspec.json.decode(typed("list", "--json").stdout, type=dict[str, Observed])[ENDPOINT].pid == seen.pid

    status = typed("status", ENDPOINT)
    assert status.exit_code == 0
    assert f"desired  release {document.release}" in status.stdout
    assert f"observed release {document.release}, bundle {document.bundle}" in status.stdout
    found = msgspec.json.decode(typed("status", ENDPOINT, "--json").stdout, type=EndpointStatus)
    assert found.good
    assert (found.memory_bytes or 0) > 1 << 20
    assert found.usage is not None
    assert found.usage.starts == 1

    again = typed("restart", ENDPOINT)
    assert again.exit_code == 0
    assert f"{ENDPOINT} serves release {document.release}" in again.stdout
    assert site.runtime.observe(ENDPOINT).pid != seen.pid
    assert "status 0: a restart was asked for" in typed("status", ENDPOINT).stdout

    slept = typed("sleep", ENDPOINT, "--reason", "nobody flies at night")
    assert slept.exit_code == 0
    assert "until `roadbed endpoint wake`" in slept.stdout
    assert site.runtime.observe(ENDPOINT).pid is None
    arrived = _served(site.home, FIRST_MODEL._replace(endpoint=ENDPOINT), materialized=True)
    assert (arrived is not None and arrived.state) == "asleep", "`roadbed up` need not wait for it"
    asleep = typed("status", ENDPOINT)
    assert asleep.exit_code == 0
    assert "nobody flies at night" in asleep.stdout
    assert "memory" not in asleep.stdout
    refused = typed("restart", ENDPOINT)
    assert (refused.exit_code, "roadbed endpoint wake" in refused.stderr) == (1, True)

    woken = typed("wake", ENDPOINT)
    assert woken.exit_code == 0
    assert site.predict().status_code == 200
    assert typed("wake", ENDPOINT).exit_code == 0
    assert "until its next caller" in typed("sleep", ENDPOINT, "--reason", "a test", "--until-asked").stdout
    assert site.predict().status_code == 200


def test_a_crash_loop_is_a_finding_and_the_error_says_what_next(site: Installation) -> None:
    site.stable(site.apply(1))
    killed: set[int] = set()

    def kill_again() -> bool:
        observed = site.runtime.observe(ENDPOINT)
        if observed.pid is not None and observed.pid not in killed:
            killed.add(observed.pid)
            os.kill(observed.pid, signal.SIGKILL)
        return observed.state == "crash_loop"

    eventually(kill_again)
    status = typed("status", ENDPOINT)
    assert status.exit_code == 2
    assert (
        f"next     read `roadbed endpoint logs {ENDPOINT}`; `roadbed endpoint restart {ENDPOINT}` tries again"
        in status.stdout
    )
    assert status.stdout.count("status -9: it ended by itself") == 3
    assert not json.loads(typed("status", ENDPOINT, "--json").stdout)["good"]
    assert typed("restart", ENDPOINT).exit_code == 0
    assert typed("status", ENDPOINT).exit_code == 0


def test_without_the_runtime_the_wish_is_kept_and_the_error_says_so(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    site.runtime.stop()
    assert typed("status", ENDPOINT).exit_code == 2
    assert typed("restart", ENDPOINT).exit_code == 1
    assert typed("sleep", ENDPOINT, "--reason", "a test").exit_code == 0
    site.runtime.ensure_running()
    eventually(lambda: site.runtime.observe(ENDPOINT).state == "asleep")
    site.runtime.stop()
    woken = typed("wake", ENDPOINT)
    assert (woken.exit_code, "roadbed up" in woken.stderr) == (1, True)
    site.runtime.ensure_running()
    assert site.stable(document).release == document.release


# As docs/operating.md shows them; ENDPOINT, TEXT and N stand for what is put there.
DOCUMENTED = """
roadbed endpoint list
roadbed endpoint list --json
roadbed endpoint status ENDPOINT
roadbed endpoint status ENDPOINT --json
roadbed endpoint logs ENDPOINT
roadbed endpoint logs ENDPOINT --lines N
roadbed endpoint restart ENDPOINT
roadbed endpoint sleep ENDPOINT --reason TEXT
roadbed endpoint sleep ENDPOINT --reason TEXT --until-asked
roadbed endpoint wake ENDPOINT
"""
FOLLOWED = """
roadbed endpoint logs ENDPOINT --follow
"""
SAYS = (
    "stable",
    '"state": "stable"',
    "desired  release",
    '"good": true',
    "serving release",
    "serving release",
    "stable   ",
    "until `roadbed endpoint wake`",
    "until its next caller",
    "stable   ",
)


def in_words(command: str) -> list[str]:
    """The command for a shell, its placeholders filled."""
    stands_for = {"ENDPOINT": ENDPOINT, "TEXT": "a test", "N": "5"}
    return [str(ROOT / ".venv" / "bin" / "roadbed"), *(stands_for.get(word, word) for word in command.split()[1:])]


def test_the_commands_of_the_guide(site: Installation) -> None:
    site.stable(site.apply(1))
    for command, says in zip(DOCUMENTED.split("\n")[1:-1], SAYS, strict=True):
        done = subprocess.run(in_words(command), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, (command, done.stderr)
        assert says in done.stdout, command


def test_following_shows_what_comes_until_it_is_interrupted(site: Installation) -> None:
    site.stable(site.apply(1))
    words = in_words(FOLLOWED.strip())
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            said = [process.stdout.readline()]
            second = site.apply(2, bias=1.0)
            while f"serving release {second.release}" not in said[-1]:
                said.append(process.stdout.readline())
                assert said[-1], "it ended by itself"
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_the_log_and_the_declared_idleness(site: Installation) -> None:
    site.runtime.configure(ENDPOINT, Settings(idle_after=900.0))
    document = site.apply(1)
    site.stable(document)
    said = typed("logs", ENDPOINT)
    assert f"serving release {document.release}" in said.stdout
    assert typed("logs", ENDPOINT, "--lines", "1").stdout.count("\n") == 1
    assert typed("logs", ENDPOINT, "--lines", "0").stdout == ""
    assert typed("logs", ENDPOINT, "--lines", "-1").exit_code == 2
    assert "sleeps 900 s after its last prediction" in typed("status", ENDPOINT).stdout
