"""Start the server of one endpoint: `python -m serving --home DIR --endpoint NAME --port N`."""

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

import msgspec
import uvicorn

from formats.endpoint_keys import FILE
from formats.errors import HostError
from formats.home import Home
from formats.redis_place import RedisPlace
from serving.access import Access
from serving.application import MAX_IN_FLIGHT, Application
from serving.clock import ServingClock
from serving.draining import DrainingServer
from serving.lifetime import die_with, is_orphan
from serving.metrics import Metrics
from serving.online_features import OnlineFeatures
from serving.online_reader import LmdbReader, OnlineReader
from serving.prediction_log import PredictionLog
from serving.predictor import Predictor
from serving.releases import Releases

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
DRAIN_SECONDS = 8
FIRST_LOOK_SECONDS = 10


class Service:
    """One endpoint's application and what keeps it current, wired to the state folder."""

    def __init__(
        self,
        home: Home,
        endpoint: str,
        access: Access,
        max_in_flight: int,
        parent: int | None,
        redis: RedisPlace | None,
    ) -> None:
        self._parent = parent
        self._access = access
        self._clock = ServingClock(home.clock)
        metrics = Metrics()
        self._releases = Releases(home, endpoint, self._clock, metrics.batch.observe)
        self._store = OnlineFeatures(_reader(home, redis), metrics)
        self._log = log = PredictionLog(home.endpoint(endpoint) / "spool")
        metrics.read("roadbed_log_dropped_total", "counter", "Records the log had no room for.", lambda: log.dropped)
        metrics.read(
            "roadbed_log_writer_restarts_total", "counter", "Restarts of the log's writer.", lambda: log.restarts
        )
        predictor = Predictor(endpoint, self._clock, self._releases, self._store, log, metrics)
        self.application = Application(endpoint, self._releases, predictor, metrics, access, max_in_flight)
        self.application.on_startup, self.application.on_shutdown = self._startup, self._shutdown
        self._looked = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    async def _startup(self) -> None:
        self._polling = asyncio.create_task(self._poll())
        self._polling.add_done_callback(_end_if_failed)
        # Callers of a restarted server wait for its release rather than being refused; not for ever, or nobody learns why.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), FIRST_LOOK_SECONDS)

    async def _poll(self) -> None:
        while True:
            self._clock.refresh()
            self._store.refresh()
            self._log.tend()
            self._access.refresh()
            await self._releases.poll()
            self._looked.set()
            if self._parent is not None and is_orphan(self._parent):
                os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(POLL_SECONDS)

    async def _shutdown(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._polling
        self._log.close()
        await self._store.close()


def _reader(home: Home, redis: RedisPlace | None) -> OnlineReader:
    if redis is None:
        return LmdbReader(home.online)
    from serving.redis_reader import (
        RedisReader,
    )  # half a second of imports that LMDB does not need, and no request waits for

    return RedisReader(redis)


def _end_if_failed(task: "asyncio.Task[None]") -> None:
    """A server that no longer follows its releases must not go on as if it did."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("polling failed", exc_info=task.exception())
        os._exit(70)


def listen(host: str, port: int, descriptor: int | None) -> socket.socket:
    """The listening socket: inherited, or bound here. Raises HostError when someone else has the port."""
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        hint = "stop what listens there, or choose another --port"
        raise HostError("port-in-use", f"port {port} of {host} is taken", hint) from error


def guard(listener: socket.socket, folder: Path) -> Access:
    """Who may ask the endpoint in `folder`. Raises HostError when it is to listen beyond this machine without a key."""
    beyond = _is_beyond(listener)
    access = Access(folder, required=beyond)
    access.refresh()
    if beyond and not access.has_keys:
        listener.close()
        why = access.fault.message if access.fault else f"there is no {folder / FILE}"
        raise HostError(
            "keys-unusable",
            f"the endpoint is to listen beyond this machine, and no key guards it: {why}",
            "make one with `roadbed key make`, or listen on 127.0.0.1",
        )
    return access


def _is_beyond(listener: socket.socket) -> bool:
    """Whether others than this machine's processes reach the socket."""
    if listener.family == socket.AF_UNIX:
        return False
    return not ip_address(str(listener.getsockname()[0]).partition("%")[0]).is_loopback


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM, or until SIGUSR1 and all that is under way is answered.

    The exit status is 0, or 3 when the port is taken or no key guards it.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if options.parent is not None:
        die_with(options.parent)
    home = Home(options.home.resolve())
    try:
        listener = listen(options.host, options.port, options.fd)
        access = guard(listener, home.endpoint(options.endpoint))
    except HostError as error:
        _log.critical("%s", error)
        return 3
    service = Service(home, options.endpoint, access, options.max_in_flight, options.parent, options.redis)
    config = uvicorn.Config(
        service.application,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = DrainingServer(config, lambda: service.application.in_flight > 0)
    signal.signal(signal.SIGUSR1, lambda _signal, _frame: server.drain())
    server.run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description="The server of one endpoint.")
    parser.add_argument("--home", type=Path, required=True, help="the installation's state folder")
    parser.add_argument("--endpoint", required=True, help="<team>/<model>/<environment>/endpoint")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    parser.add_argument("--port", type=int, default=8801, help="port to listen on")
    parser.add_argument("--fd", type=int, help="descriptor of a listening socket, instead of host and port")
    parser.add_argument("--parent", type=int, help="process id of the starter; the server ends with it")
    parser.add_argument(
        "--redis", type=_redis, help="where the online store is, if not in the home: redis in online.yaml, as JSON"
    )
    parser.add_argument("--max-in-flight", type=int, default=MAX_IN_FLIGHT, help="requests under way before 503")
    return parser


def _redis(text: str) -> RedisPlace:
    try:
        return msgspec.json.decode(text, type=RedisPlace)
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
