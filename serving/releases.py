"""Which release this server runs: follows release.json, verifies, loads beside the running one, then switches in one step.

A release that cannot be served changes nothing but `fault`: the running one goes on. One that expires stops answering.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from formats.attestation import require_attested
from formats.bundle import read_manifest
from formats.durable import write_atomic
from formats.errors import IntegrityError, ReleaseError, RoadbedError
from formats.home import Home
from formats.release import ReleaseDocument, read_release
from formats.signing import PublicKey
from formats.trusted_keys import trusted_keys
from serving.answer_headers import AnswerHeaders
from serving.batching import Batcher
from serving.clock import ServingClock
from serving.desired import fingerprint
from serving.model import Model, bundle_folder, load_model
from serving.refusals import Fault, fault_of, unavailable

_log = logging.getLogger(__name__)

_FIRST_RETRY = 1.0
_LAST_RETRY = 30.0


class Serving(NamedTuple):
    """A release in service. A request keeps the one that it began with."""

    document: ReleaseDocument
    model: Model
    batcher: Batcher
    loaded_at: datetime
    headers: AnswerHeaders


class Releases:
    """The releases of one endpoint, as far as this process got with them."""

    def __init__(self, home: Home, endpoint: str, clock: ServingClock, observe_batch: Callable[[int], None]) -> None:
        self._home = home
        self._endpoint = endpoint
        self._clock = clock
        self._observe_batch = observe_batch
        self._folder = home.endpoint(endpoint)
        self._retry_at = 0.0
        self._retry_after = _FIRST_RETRY
        self.serving: Serving | None = None
        self.considered: str | None = None
        self.fault: Fault | None = Fault("release-missing", f"{endpoint} has not loaded a release yet", "wait a moment")
        self._settled = False

    @property
    def state(self) -> str:
        """`loading`, `refusing` (no valid release), `serving`, or `holding` (the newer release was refused)."""
        if self._usable() is None:
            return "refusing" if self._settled else "loading"
        return "serving" if self.fault is None else "holding"

    def current(self) -> Serving:
        """The release in service. Raises Refusal, 503 with the reason, when there is none."""
        serving = self._usable()
        if serving is None:
            raise unavailable(self.trouble())
        return serving

    def trouble(self) -> Fault:
        """Why there is no release in service."""
        if self.serving is not None and self._expired(self.serving):
            return _expired_fault(self.serving.document)
        return self.fault or Fault("release-missing", "no release is loaded", "wait a moment")

    def _usable(self) -> Serving | None:
        return None if self.serving is None or self._expired(self.serving) else self.serving

    def _expired(self, serving: Serving) -> bool:
        return self._clock.now() >= serving.document.expires_at

    async def poll(self) -> None:
        """Look at release.json; load it if it changed, or if it is time to try again."""
        mark = fingerprint(self._folder / "release.json")
        again = self.fault is not None and time.monotonic() >= self._retry_at
        if mark == self.considered and not again:
            return
        if mark != self.considered:
            self._retry_after = _FIRST_RETRY
        try:
            self.serving = await asyncio.to_thread(self._load)
        except RoadbedError as error:
            self._note(fault_of(error), mark)
        except Exception as error:  # noqa: BLE001 - a bundle is foreign data: whatever its load raises, the old one goes on
            fault = Fault("bundle-invalid", f"the release cannot be loaded: {error!r}", "materialize the model again")
            self._note(fault, mark)
        else:
            self.fault = None
            _log.info("serving release %s, bundle %s", self.serving.document.release, self.serving.document.bundle)
        self.considered = mark
        self._settled = True

    def _note(self, fault: Fault, mark: str | None) -> None:
        if fault != self.fault or mark != self.considered:
            _log.error("[%s] %s", fault.code, fault.message)
        self.fault = fault
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, _LAST_RETRY)

    def _load(self) -> Serving:
        running, trusted = self.serving, self._trusted()
        document = self._read_release(max(_read_sequence(self._folder / "sequence"), _sequence(running)), trusted)
        if running is not None and running.document == document:
            return running
        folder = bundle_folder(self._home.bundles, document.bundle)
        require_attested(folder, read_manifest(folder, document.bundle), trusted)
        if running is not None and running.document.bundle == document.bundle:
            model, batcher = running.model, running.batcher
        else:
            model = load_model(self._home.bundles, document.bundle)
            batcher = Batcher(model.run, self._observe_batch)
        # Remembered beyond this process, so that a restart does not accept an older release either.
        write_atomic(self._folder / "sequence", str(document.sequence).encode())
        headers = AnswerHeaders(document, model.contract)
        return Serving(document, model, batcher, datetime.now(UTC), headers)

    def _trusted(self) -> tuple[PublicKey, ...]:
        try:
            return trusted_keys(self._home.authority)
        except (OSError, ValueError) as error:
            raise _unverifiable(error) from error

    def _read_release(self, at_least: int, trusted: tuple[PublicKey, ...]) -> ReleaseDocument:
        try:
            envelope = (self._folder / "release.json").read_bytes()
        except OSError as error:
            raise ReleaseError(
                "release-missing",
                f"{self._endpoint} has no release: {error}",
                "materialize its release asset, which asks the authority for one",
            ) from error
        try:
            now = self._clock.now()
            return read_release(envelope, trusted, endpoint=self._endpoint, now=now, at_least=at_least)
        except (OSError, ValueError) as error:
            raise _unverifiable(error) from error


def _unverifiable(error: Exception) -> IntegrityError:
    return IntegrityError(
        "signature-invalid",
        f"the release cannot be verified: {error}",
        "install the authority's public key as authority/key.pub, and deploy the release that it signed",
    )


def _sequence(serving: Serving | None) -> int:
    return 0 if serving is None else serving.document.sequence


def _read_sequence(path: Path) -> int:
    try:
        return int(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return 0


def _expired_fault(document: ReleaseDocument) -> Fault:
    return Fault(
        "release-expired",
        f"release {document.release} of {document.endpoint} expired at {document.expires_at.isoformat()}",
        "materialize the release asset again, so that the authority decides anew",
    )
