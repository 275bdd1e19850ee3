"""What is known about a running endpoint: the document observed.json beside its release.json."""

from datetime import datetime
from pathlib import Path

import msgspec

from formats.durable import write_atomic
from resources.endpoint_wishes import Sleep
from resources.reconciler import State


class LastError(msgspec.Struct, frozen=True):
    """Why the endpoint is not as desired."""

    code: str
    message: str
    hint: str


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint as its runtime saw it last.

    `release`, `bundle` and `sequence` are what is served, `stable` says that it was served without a break for long enough.
    `desired` is the release that should be served; `last_error` is about that one. `version` identifies the release.json that
    all of this is about, `wishes` the other files that say what is desired, `supervisor` the process that saw it.
    """

    endpoint: str
    state: State
    stable: bool = False
    desired: str | None = None
    release: str | None = None
    bundle: str | None = None
    sequence: int | None = None
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    since: datetime | None = None
    last_error: LastError | None = None
    version: str | None = None
    wishes: str | None = None
    sleep: Sleep | None = None
    idle_after: float | None = None
    supervisor: int | None = None


def read_observed(folder: Path) -> Observed | None:
    """The document in an endpoint's folder, if there is one that this version can read."""
    try:
        return msgspec.json.decode((folder / "observed.json").read_bytes(), type=Observed)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_observed(folder: Path, observed: Observed) -> None:
    """Replace the document in an endpoint's folder."""
    write_atomic(folder / "observed.json", msgspec.json.format(msgspec.json.encode(observed), indent=2))
