"""The promotion authority as a service: the same requests and answers over HTTP, under a Unix user of its own.

    python -I -m platform_assets.promotion.authority_service --home DIR --authority OWN [--listen 127.0.0.1:8731]

POST /v1/requests takes a request (messages.py) with `Authorization: Bearer <token>` (callers.py) and gives its answer; the caller's
name is the actor, whatever the request says. GET /livez answers while the process lives. OWN holds what nobody else may change,
and of which the key may not even be read: key.pem, authority.yaml, callers.yaml, identities.yaml, policies/. Of DIR the service
reads lake, bundles, clock and endpoints, and writes releases/.

Requests run side by side, so that a rollback does not wait for a decision; the ledger lets one write at a time. Each request leaves
one line of JSON on stderr. There is no TLS here: beyond one machine, put a proxy that has it in front.
"""

import argparse
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import Any

import msgspec
from typing_extensions import override

from formats.errors import ContractError, HostError, RoadbedError
from formats.home import Home
from formats.prepared import prepare_types
from platform_assets.promotion.authority import refusal, respond
from platform_assets.promotion.callers import identify
from platform_assets.promotion.directory import publish
from platform_assets.promotion.keys import create_key
from platform_assets.promotion.messages import AnyAnswer, Refusal

PATH = "/v1/requests"

_LIMIT = 1 << 20  # bytes of a request; the largest is a statement's envelope, a few thousand
_AT_ONCE = 8  # requests that are worked on; whoever is unknown, or has not sent all of its own, takes no place of these
_SLOW = 30.0  # seconds that a caller may let the service wait for bytes
_OTHERS_WRITE = 0o022


class AuthorityService(ThreadingHTTPServer):
    """Listens from its creation on; `serve_forever` answers. Raises OSError if the address is taken."""

    request_queue_size = 64
    daemon_threads = False  # closing waits for the requests under way

    def __init__(self, home: Home, address: tuple[str, int]) -> None:
        prepare_types()
        super().__init__(address, partial(_Handler, home, threading.BoundedSemaphore(_AT_ONCE)))

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        _log(error=f"{type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    timeout = _SLOW
    server_version = "roadbed-authority"
    sys_version = ""

    def __init__(
        self,
        home: Home,
        places: threading.BoundedSemaphore,
        request: socket,
        client_address: tuple[str, int],
        server: AuthorityService,
    ) -> None:
        self._home, self._places = home, places
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        if self.path == "/livez":
            self._send(HTTPStatus.OK, b"{}")
        else:
            self._answer("", HTTPStatus.NOT_FOUND, _refused(f"there is nothing to get at {self.path[:80]}"), 0.0)

    def do_POST(self) -> None:
        started, caller = time.perf_counter(), ""
        try:
            caller = identify(self._home.authority, self._token())
            body = self._body()
            with self._places:
                status, answer = HTTPStatus.OK, respond(self._home, body, actor=caller)
                _publish(self._home)
        except _Unacceptable as error:
            status, answer = error.status, _refused(str(error))
        except RoadbedError as error:
            status = HTTPStatus.UNAUTHORIZED if error.code == "caller-unknown" else HTTPStatus.INTERNAL_SERVER_ERROR
            answer = refusal(error)
        self._answer(caller, status, answer, time.perf_counter() - started)

    def _token(self) -> str:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def _body(self) -> bytes:
        if self.path != PATH:
            raise _Unacceptable(HTTPStatus.NOT_FOUND, f"requests are posted to {PATH}")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise _Unacceptable(HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is")
        if int(length) > _LIMIT:
            raise _Unacceptable(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request has {length} bytes; {_LIMIT} are allowed"
            )
        return self.rfile.read(int(length))

    def _answer(self, caller: str, status: HTTPStatus, answer: AnyAnswer, seconds: float) -> None:
        _log(
            caller=caller,
            status=int(status),
            answer=type(answer).__name__.lower(),
            code=answer.code if isinstance(answer, Refusal) else None,
            milliseconds=round(seconds * 1e3, 1),
        )
        self._send(status, msgspec.json.encode(answer))

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        # A caller that went away asks again, and gets the same answer.
        with suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    @override
    def log_message(self, *_: Any) -> None:
        """Nothing: each answer leaves a line of its own."""


class _Unacceptable(Exception):  # noqa: N818 - an HTTP status on its way to the answer, never seen outside
    def __init__(self, status: HTTPStatus, why: str) -> None:
        self.status = status
        super().__init__(why)


def main() -> int:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    parser = argparse.ArgumentParser(prog="roadbed-authority-service", description="The promotion authority over HTTP.")
    parser.add_argument("--home", required=True, type=Path, help="the installation's state folder")
    parser.add_argument("--authority", type=Path, help="the service's own folder (default: authority/ in the home)")
    parser.add_argument("--listen", default="127.0.0.1:8731", help="address:port (default: %(default)s)")
    options = parser.parse_args()
    try:
        own = options.authority.resolve() if options.authority else None
        service = _prepared(Home(options.home.resolve(), own), options.listen)
    except RoadbedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=service.shutdown).start())
    with service:
        _log(listening=options.listen)
        service.serve_forever()
    return 0


def _prepared(home: Home, listen: str) -> AuthorityService:
    """The service of `home`, listening. Raises RoadbedError if its folder, key or address cannot be used."""
    create_key(home)
    if home.authority.stat().st_mode & _OTHERS_WRITE:
        raise HostError(
            "home-unusable",
            f"{home.authority} can be written by other users, who could give the authority another key and other rules",
            f"run `chmod 700 {home.authority}`",
        )
    _publish(home)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise ContractError("request-invalid", f"{listen!r} is no address:port", "for example 127.0.0.1:8731")
    try:
        return AuthorityService(home, (host, int(port)))
    except (OSError, OverflowError) as error:
        raise HostError(
            "port-in-use", f"{listen} cannot be listened on: {error}", "choose another with --listen"
        ) from error


def _publish(home: Home) -> None:
    """Publish who is known; what keeps the file from being written keeps nobody from being answered."""
    try:
        publish(home)
    except (OSError, RoadbedError) as error:
        _log(error=f"identities are not published: {error}")


def _refused(why: str) -> Refusal:
    return refusal(ContractError("request-invalid", why, "see platform_assets/promotion/authority_service.py"))


def _log(**facts: object) -> None:
    line = {"at": datetime.now(UTC), **{name: fact for name, fact in facts.items() if fact is not None}}
    sys.stderr.write(f"{msgspec.json.encode(line).decode()}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
