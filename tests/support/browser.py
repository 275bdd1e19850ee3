"""A whole installation for tests that look at it: started by `roadbed up`, asked over GraphQL, shown in a headless browser."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from playwright.sync_api import Browser, sync_playwright

from formats.clock import advance_clock
from formats.home import VARIABLE, Home
from tests.support.processes import ROOT, free_port

# Everything in these tests waits for other processes, on machines that may be busy; and a question costs the machine too.
PATIENCE = 300.0
_STEP = 1.0

_ROADBED = [sys.executable, "-P", "-m", "platform_assets.cli.main"]
_ACTIVE = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING", "MANAGED"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_LAUNCH = """
    mutation Launch($parameters: ExecutionParams!) {
      launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } }
    }
"""
_BACKFILL = """
    mutation Backfill($parameters: LaunchBackfillParams!) {
      launchPartitionBackfill(backfillParams: $parameters) {
        __typename
        ... on LaunchBackfillSuccess { backfillId }
        ... on PythonError { message }
      }
    }
"""
_TERMINATE = "mutation Terminate($run: String!) { terminateRun(runId: $run) { __typename } }"
_RUNS = "{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }"
_MATERIALIZED = """
    query Materialized($key: AssetKeyInput!, $partitions: [String!]) {
      assetOrError(assetKey: $key) {
        ... on Asset {
          assetMaterializations(partitions: $partitions, limit: 1) {
            runId
            partition
            timestamp
            tags { key value }
            metadataEntries { label ... on TextMetadataEntry { text } }
          }
        }
      }
    }
"""
_TICKS = """
    query Ticks($selector: SensorSelector!) {
      sensorOrError(sensorSelector: $selector) {
        ... on Sensor { sensorState { ticks(limit: 1) { status skipReason } } }
      }
    }
"""
_LOCATIONS = """
    {
      workspaceOrError {
        ... on Workspace {
          locationEntries { name locationOrLoadError { __typename ... on PythonError { message } } }
        }
      }
    }
"""


class Materialized(NamedTuple):
    """The newest materialization of an asset or of one partition: who made it, and its texts by label."""

    run: str
    timestamp: str
    texts: dict[str, str]


class Run(NamedTuple):
    """One run of Dagster's."""

    id: str
    status: str
    job: str
    tags: dict[str, str]


class Installed:
    """A running installation of a checkout (this one, if no other is named) with its own home and port."""

    def __init__(self, home: Home, port: int, root: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self._root = root
        self.url = f"http://127.0.0.1:{port}"
        self._environment = os.environ | {VARIABLE: str(home.root), "ROADBED_PORT": str(port)} | dict(environment or {})

    def roadbed(self, *arguments: str) -> str:
        """Run one command of `roadbed`; what it printed."""
        done = subprocess.run(
            [*_ROADBED, *arguments],
            cwd=self._root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"roadbed {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def ask(self, query: str, **variables: object) -> Any:
        """The data of a GraphQL answer."""
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=body, timeout=60).json()
        if "errors" in answer:
            raise AssertionError(json.dumps(answer["errors"])[:2000])
        return answer["data"]

    def locations(self) -> dict[str, str]:
        """Each code location: `RepositoryLocation`, or its error."""
        entries = self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        loaded = {entry["name"]: entry["locationOrLoadError"] for entry in entries}
        return {name: found.get("message", found["__typename"]) for name, found in loaded.items()}

    def runs(self) -> list[Run]:
        """Every run, newest first."""
        found = self.ask(_RUNS)["runsOrError"]["results"]
        return [
            Run(run["runId"], run["status"], run["jobName"], {tag["key"]: tag["value"] for tag in run["tags"]})
            for run in found
        ]

    def idle(self) -> bool:
        """Whether no run is under way."""
        return not any(run.status in _ACTIVE for run in self.runs())

    def skip_reason(self, sensor: str) -> str:
        """Why the newest tick of `sensor` asked for no run; empty if it did ask."""
        selector = {"repositoryLocationName": "aviation", "repositoryName": "__repository__", "sensorName": sensor}
        ticks = self.ask(_TICKS, selector=selector)["sensorOrError"]["sensorState"]["ticks"]
        return str(ticks[0]["skipReason"] or "") if ticks else ""

    def launch(self, asset: str, partition: str, config: Mapping[str, object] | None = None) -> str:
        """Launch one partition of `asset` as the UI does; the run's id."""
        parameters = {
            "mode": "default",
            "runConfigData": config or {},
            "selector": {
                "repositoryLocationName": "aviation",
                "repositoryName": "__repository__",
                "jobName": "__ASSET_JOB",
                "assetSelection": [{"path": asset.split("/")}],
            },
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        }
        launched = self.ask(_LAUNCH, parameters=parameters)["launchRun"]
        return str(launched["run"]["runId"])

    def backfill(self, asset: str, partitions: Sequence[str], config: Mapping[str, object]) -> str:
        """Launch partitions of `asset` as the UI's backfill does; the backfill's id, which its runs carry as a tag."""
        parameters = {
            "assetSelection": [{"path": asset.split("/")}],
            "partitionNames": [*partitions],
            "runConfigData": config,
        }
        launched = self.ask(_BACKFILL, parameters=parameters)["launchPartitionBackfill"]
        if "backfillId" not in launched:
            raise AssertionError(json.dumps(launched)[:2000])
        return str(launched["backfillId"])

    def terminate(self, run: str) -> None:
        """Terminate `run` as the UI's button does."""
        self.ask(_TERMINATE, run=run)

    def until_success(self, run: str) -> str:
        """Wait for the end of `run`, which must be good."""
        until(lambda: self._status(run) not in _ACTIVE)
        if self._status(run) != "SUCCESS":
            raise AssertionError(f"run {run} ended with {self._status(run)}")
        return run

    def newest(self, asset: str, partition: str | None = None) -> Materialized | None:
        """The newest materialization of `asset` (of its `partition`), if there is one."""
        wanted = None if partition is None else [partition]
        found = self.ask(_MATERIALIZED, key={"path": asset.split("/")}, partitions=wanted)["assetOrError"]
        for event in found.get("assetMaterializations", ()):
            texts = {entry["label"]: entry["text"] for entry in event["metadataEntries"] if "text" in entry}
            versions = {tag["key"]: tag["value"] for tag in event["tags"]}
            return Materialized(event["runId"], event["timestamp"], texts | versions)
        return None

    def digests(self, asset: str, partitions: Sequence[str]) -> dict[str, str]:
        """The `digest` in the metadata of the newest materialization of each partition."""
        found = {key: self.newest(asset, key) for key in partitions}
        return {key: event.texts["digest"] for key, event in found.items() if event is not None}

    def _status(self, run: str) -> str:
        return next(found.status for found in self.runs() if found.id == run)


@contextlib.contextmanager
def installed(
    root: Path, now: datetime, checkout: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Iterator[Installed]:
    """An installation in `root` whose replay stands at `now`: services only, stopped for certain at the end."""
    home = Home(root)
    home.root.mkdir(parents=True, exist_ok=True)
    advance_clock(home.clock, now)
    running = Installed(home, free_port(), checkout, environment)
    try:
        running.roadbed("up", "--services-only")
        yield running
    finally:
        running.roadbed("down")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium: the system's, else the one that playwright has installed."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=_SWITCHES)
        try:
            yield started
        finally:
            started.close()


def until(look: Callable[[], bool], patience: float = PATIENCE, tell: Callable[[], object] = lambda: "") -> None:
    """Wait until `look` is true; `tell` says how things stand if it never is."""
    deadline = time.monotonic() + patience
    while not look():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain {tell()}")
        time.sleep(_STEP)
