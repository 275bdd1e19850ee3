"""A command that a page shows, typed into a shell of the clone: what its placeholders stand for, and what it must print."""

import getpass
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import httpx
from aviation.team import DEPARTURE_DELAY, TEAM

from formats.clock import read_clock
from platform_assets.cli.first_prediction import prediction_id
from platform_assets.promotion.live import pointers
from resources.installation import installation_at
from resources.local_endpoint_runtime import LocalEndpointRuntime
from tests.support.clone import Clone
from tests.support.documented import ROOT, commands
from tests.support.processes import eventually, free_port
from tests.support.small_road import ENDPOINT

# The longest, a first journey, takes two minutes on two idle cores.
PATIENCE = 1500.0
REQUEST = next((shown.text for shown in commands((ROOT / "README.md").read_text()) if shown.program == "curl"), "")

_FACT = re.compile(r"\{([a-z ]+)\}")
_RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"


class Step(NamedTuple):
    """A command as its page shows it, what is put for its placeholders (names of facts), and what it must print."""

    text: str
    says: tuple[str, ...] = ()
    fill: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    status: int = 0
    before: Callable[[Clone], None] | None = None
    # Of a command that stays in the foreground: printed as soon as it serves, with its address as the first group.
    serving: str = ""


def released_bundle(number: int, clone: Clone) -> str:
    return pointers(installation_at(clone.home)).releases(ENDPOINT)[number].bundle


def _clock_after(days: int, clone: Clone) -> str:
    now = read_clock(clone.home.clock).instant
    assert now is not None
    return (now + timedelta(days=days)).isoformat()


FACTS: dict[str, Callable[[Clone], str]] = {
    "home": lambda _: ".roadbed",
    "whole home": lambda clone: str(clone.home.root),
    "port": lambda clone: str(clone.port),
    "other port": lambda _: str(free_port()),
    "served port": lambda clone: LocalEndpointRuntime(clone.home).url(ENDPOINT).rpartition(":")[2],
    "prediction": lambda clone: prediction_id(clone.said[REQUEST]) or "no prediction",
    "endpoint": lambda _: ENDPOINT,
    "model": lambda _: DEPARTURE_DELAY.path(TEAM.name),
    "table": lambda _: "aviation/weather",
    "reason": lambda _: "'it answers strangely'",
    "live bundle": lambda clone: pointers(installation_at(clone.home)).releases(ENDPOINT)[-1].bundle,
    "first bundle": partial(released_bundle, 0),
    "second bundle": partial(released_bundle, 1),
    "third bundle": partial(released_bundle, 2),
    "tomorrow": partial(_clock_after, 1),
    "present": partial(_clock_after, 0),
    "live decision": lambda clone: pointers(installation_at(clone.home)).releases(ENDPOINT)[-1].approval.decision,
    "policy of prod": lambda _: "platform_assets/promotion/policies/prod.yaml",
    "report file": lambda _: "report.html",
    "bundle file": lambda _: "bundle.tar",
    "statement": lambda _: "'SELECT view, version FROM roadbed.tables'",
    "this process": lambda _: str(os.getpid()),
    "benchmark": lambda _: "road",
    "no key": lambda _: "0" * 64,
    "login": lambda _: getpass.getuser(),
    "role": lambda _: "platform",
    "address": lambda _: "somebody@example.org",
    "gate": lambda _: "latency_budget",
    "feature": lambda _: "wind_gust",
    "entity": lambda _: "carrier",
    "owner": lambda _: "rail",
    "classification": lambda _: "personal",
    "a week": lambda _: "7",
    "caller": lambda _: "shop",
}


def facts_of(step: Step, clone: Clone) -> dict[str, str]:
    """What the step's placeholders stand for, as it is before the command changes it."""
    names = {*step.fill.values(), *(name for said in step.says for name in _FACT.findall(said))}
    return {name: FACTS[name](clone) for name in names}


def typed(step: Step, facts: Mapping[str, str]) -> str:
    """The command with its placeholders filled in; `roadbed` is short for the path, as the pages say."""
    text = re.sub(r"^roadbed ", ".venv/bin/roadbed ", step.text)
    for placeholder, name in step.fill.items():
        text = filled(text, placeholder, facts[name])
    assert not re.search(r"<\w+>", text), f"{text} has a placeholder that nothing fills"
    return text


def filled(text: str, placeholder: str, value: str) -> str:
    """`text` with `value` for the placeholder, which must be there."""
    text, count = re.subn(rf"(?<!\w){re.escape(placeholder)}(?!\w)", lambda _: value, text)
    assert count, f"{text} has no {placeholder}"
    return text


def run(step: Step, clone: Clone) -> None:
    """Type the command and compare what it says."""
    facts = facts_of(step, clone)
    command, environment = ["bash", "-c", typed(step, facts)], clone.environment(step.env)
    done = subprocess.run(
        command, cwd=clone.root, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = clone.said[step.text] = done.stdout + done.stderr
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    assert status == step.status, f"{command[-1]} ended with {status}:\n{said}"
    wanted = [_FACT.sub(lambda name: facts[name[1]], text) for text in step.says]
    assert [text for text in wanted if text not in said] == [], f"{command[-1]} said:\n{said}"
    assert "BROKEN" not in said


def serve(step: Step, clone: Clone) -> None:
    """Type a command that stays, ask what it serves for the installation's runs, and press Ctrl-C."""
    log = clone.root.parent / "foreground.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["bash", "-c", typed(step, facts_of(step, clone))],
            cwd=clone.root,
            env=clone.environment(step.env),
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        url = eventually(lambda: re.search(step.serving, log.read_text()), PATIENCE / 3)[1]
        answer = eventually(lambda: _answer(url), PATIENCE / 3)
        assert answer["data"]["runsOrError"]["results"], "the runs of the same state are found"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE / 3)


def _answer(url: str) -> Any:
    try:
        return httpx.post(f"{url}/graphql", json={"query": _RUNS}, timeout=60).json()
    except httpx.TransportError:
        return None
