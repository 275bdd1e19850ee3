"""A home with a real endpoint runtime: releases go in, predictions come out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from formats.home import Home
from formats.release import ReleaseDocument, sign_release
from resources.endpoint_state import Observed
from resources.local_endpoint_runtime import LocalEndpointRuntime
from resources.reconciler import Limits
from resources.supervisor import Places, supervisor_pid
from tests.support.bundles import ENDPOINT, authority_key, full_row, payload, release, store_bundle
from tests.support.processes import PATIENCE

LIMITS = Limits(stable_seconds=0.5, crashes=3, crash_window=120, first_delay=0.1, last_delay=0.2)


class Installation:
    """A home with a runtime."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.runtime = LocalEndpointRuntime(self.home, LIMITS)

    def apply(self, sequence: int, bias: float = 0.0, endpoint: str = ENDPOINT) -> ReleaseDocument:
        document = release(store_bundle(self.home, payload(bias)), sequence, endpoint=endpoint)
        self.runtime.apply(endpoint, sign_release(document, authority_key(self.home)))
        return document

    def stable(self, document: ReleaseDocument) -> Observed:
        return self.runtime.wait_until_stable(document.endpoint, document.release, PATIENCE)

    def predict(self, endpoint: str = ENDPOINT) -> httpx.Response:
        return httpx.post(f"{self.runtime.url(endpoint)}/predict", json=full_row(), timeout=PATIENCE)

    def supervisor(self) -> int:
        pid = supervisor_pid(Places.of(self.home))
        assert pid is not None
        return pid

    def family(self) -> list[int]:
        """The supervisor and everything below it."""
        process = psutil.Process(self.supervisor())
        return [process.pid, *(child.pid for child in process.children(recursive=True))]


@contextmanager
def running(root: Path) -> Iterator[Installation]:
    """A home in `root` whose supervisor runs, until it is left."""
    installation = Installation(root)
    installation.runtime.ensure_running()
    try:
        yield installation
    finally:
        installation.runtime.stop()
