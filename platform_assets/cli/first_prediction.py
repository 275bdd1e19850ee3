"""The first journey's facts, and the prediction that it ends with: which model, which stages, which request."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
from rich.console import Console

from formats.bundle import read_contract
from formats.canonical import Json
from formats.endpoint_keys import PLATFORM_FILE, platform_headers
from formats.errors import EndpointError
from formats.home import Home
from platform_assets.cli.explain import explain
from platform_assets.cli.site import LOOPBACK, Site
from resources.bundle_store import FileBundleStore
from resources.endpoint_state import Observed


class Journey(NamedTuple):
    """Where the replay begins, the assets to be made on the way (in order), and the endpoint at its end."""

    instant: datetime
    stages: tuple[str, ...]
    endpoint: str


class _Example(msgspec.Struct):
    request: dict[str, object]


# The first model is trained on what was known by the end of March 2013 and judged on April.
FIRST_MODEL = Journey(
    instant=datetime(2013, 5, 1, 4, tzinfo=UTC),
    stages=(
        "aviation/schedule",
        "aviation/outcomes",
        "aviation/weather",
        "aviation/origin_weather",
        "aviation/origin_congestion",
        "aviation/carrier_record",
        "aviation/route_record",
        "aviation/plane_record",
        "aviation/online_store",
        "aviation/departure_delay/training_set",
        "aviation/departure_delay/evaluation_set",
        "aviation/departure_delay/model",
        "aviation/departure_delay/evaluation",
        "aviation/departure_delay/staging/release",
        "aviation/departure_delay/staging/endpoint",
        "aviation/departure_delay/staging/rehearsal",
        "aviation/departure_delay/prod/release",
        "aviation/departure_delay/prod/endpoint",
    ),
    endpoint="aviation/departure_delay/prod/endpoint",
)


def request_body(home: Home, bundle: str) -> str:
    """A request that the bundle answers, as JSON: by key, so that the online store has its part in the answer.

    Its values are those of the request that the bundle was built with.
    """
    folder = FileBundleStore(home.bundles).open(bundle)
    example = msgspec.json.decode((folder / "payload" / "example.json").read_bytes(), type=_Example).request
    contract = read_contract(folder)
    names = [column.name for column in contract.request] + [key for view in contract.views for key in view.keys]
    by_key = {name: example[name] for name in names if name in example}
    return json.dumps(by_key if set(names) <= set(by_key) else example)


def curl(port: int, body: str, folder: Path) -> str:
    """The command that asks for the prediction, ready for a shell; by the platform's own key where the endpoint asks for one."""
    key = folder / PLATFORM_FILE
    guarded = f'-H "authorization: Bearer $(cat {shlex.quote(str(key))})" ' if key.exists() else ""
    return (
        f"curl -s -X POST http://{LOOPBACK}:{port}/predict {guarded}-H 'content-type: application/json' "
        f"-d {shlex.quote(body)}"
    )


def show_prediction(site: Site, served: Observed, console: Console, journey: Journey) -> None:
    """Print the UI's address, the `curl` line with its answer, and `roadbed explain` with what it says.

    Raises:
        EndpointError: the endpoint that calls itself stable does not answer.
    """
    if served.port is None or served.bundle is None:
        raise _mute(journey, "the runtime names no port or bundle")
    body = request_body(site.home, served.bundle)
    folder = site.home.endpoint(journey.endpoint)
    answer = _ask(journey, served.port, body, folder)
    console.print(f"\nUI       {site.url}", markup=False)
    console.print(f"ask      {curl(served.port, body, folder)}", markup=False, soft_wrap=True)
    console.print(f"         {answer}", markup=False, soft_wrap=True)
    identifier = prediction_id(answer)
    if identifier is not None:
        console.print(f"why      roadbed explain {identifier}", markup=False)
        console.print(explain(site.home, identifier), markup=False, soft_wrap=True)


def prediction_id(answer: str) -> str | None:
    """The id of the (first) prediction in an answer of the endpoint."""
    return _find(json.loads(answer), "prediction")


def _find(value: Json, name: str) -> str | None:
    if isinstance(value, dict):
        here = value.get(name)
        if isinstance(here, str):
            return here
        return next((found for part in value.values() if (found := _find(part, name))), None)
    if isinstance(value, list):
        return next((found for part in value if (found := _find(part, name))), None)
    return None


def _ask(journey: Journey, port: int, body: str, folder: Path) -> str:
    headers = {"content-type": "application/json", **platform_headers(folder)}
    try:
        answer = httpx.post(f"http://{LOOPBACK}:{port}/predict", content=body, headers=headers, timeout=30)
    except httpx.HTTPError as error:
        raise _mute(journey, str(error) or type(error).__name__) from error
    if answer.status_code != httpx.codes.OK:
        raise _mute(journey, f"status {answer.status_code}: {answer.text[:200]}")
    return answer.text.strip()


def _mute(journey: Journey, why: str) -> EndpointError:
    return EndpointError(
        "endpoint-unstable",
        f"{journey.endpoint} calls itself stable but does not answer: {why}",
        "look at its log in the home's endpoints/ folder and at `roadbed status`",
    )
