"""The endpoint as an ASGI application: routes, the limit on what waits, and what everything else tells about the server."""

import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from formats.endpoint_keys import Scope as KeyScope
from serving.access import Access
from serving.deadline import Deadline, deadline_of
from serving.http import (
    JSON,
    TEXT,
    Disconnected,
    Receive,
    Response,
    Scope,
    Send,
    json_response,
    read_json_body,
    send_response,
)
from serving.metrics import Metrics
from serving.model import Model
from serving.open_inference import model_metadata
from serving.openapi import Readiness, StoreStatus, openapi
from serving.predictor import Predictor
from serving.refusals import Refusal
from serving.releases import Releases

_log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 1024
_OVERLOADED = "endpoint-overloaded"
_READERS: Final[tuple[KeyScope, ...]] = ("predict", "status")

Get = Callable[[], Response]
Post = Callable[[bytes, Deadline], Awaitable[Response]]


class Application:
    """Routes of one endpoint."""

    def __init__(
        self,
        endpoint: str,
        releases: Releases,
        predictor: Predictor,
        metrics: Metrics,
        access: Access,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._endpoint = endpoint
        self._releases = releases
        self._predictor = predictor
        self._metrics = metrics
        self._access = access
        self._limit = max_in_flight
        self._in_flight = 0
        self._started = self._asked = time.monotonic()
        self.on_startup: Callable[[], Awaitable[None]] = _nothing
        self.on_shutdown: Callable[[], Awaitable[None]] = _nothing
        # Whoever runs the server asks whether it lives without a key.
        self._gets: dict[str, tuple[Get, tuple[KeyScope, ...]]] = {
            "/livez": (lambda: json_response({"live": True}), ()),
            "/readyz": (self._readyz, ()),
            "/status": (self._status, ("status",)),
            "/metrics": (lambda: Response(200, self._metrics.render().encode(), TEXT), ("metrics",)),
            "/contract": (lambda: json_response(self._releases.current().model.contract), _READERS),
            "/openapi.json": (lambda: json_response(openapi(self._releases.current().model, self._endpoint)), _READERS),
            "/v2": (lambda: json_response({"name": "roadbed", "version": "2", "extensions": []}), ()),
            "/v2/health/live": (lambda: json_response({"live": True}), ()),
            "/v2/health/ready": (self._v2_ready, ()),
        }
        metrics.read("roadbed_in_flight", "gauge", "Predictions under way.", lambda: self._in_flight)
        metrics.read("roadbed_ready", "gauge", "Whether a valid release is in service.", self._ready)

    @property
    def in_flight(self) -> int:
        """Predictions under way."""
        return self._in_flight

    @property
    def idle(self) -> float:
        """Seconds since somebody asked for a prediction, or since the start; none while one is under way."""
        return 0.0 if self._in_flight else time.monotonic() - self._asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        route = "other"
        try:
            route, response = await self._respond(scope, receive)
        except Refusal as refusal:
            response = self._refuse(refusal)
        except Disconnected:
            return
        except Exception:  # noqa: BLE001 - the last frame of ours: a defect is logged, counted and answered
            _log.exception("%s %s failed", scope["method"], scope["path"])
            self._metrics.errors["internal"] += 1
            response = json_response({"code": "internal", "message": "the server failed", "hint": "see its log"}, 500)
        self._metrics.requests[route, response.status] += 1
        await send_response(send, response)

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[str, Response]:
        path, method = scope["path"], scope["method"]
        if path == "/predict":
            return path, await self._post(method, scope, receive, self._predictor.predict)
        if path in self._gets:
            _require(method, "GET", "HEAD")
            get, scopes = self._gets[path]
            if scopes:
                self._access.require(scope["headers"], *scopes)
            return path, get()
        if path.startswith("/v2/models/"):
            return "/v2/models", await self._v2_model(path.removeprefix("/v2/models/"), method, scope, receive)
        raise Refusal(404, "not-found", f"there is no {path[:200]}", "GET /openapi.json lists the paths")

    async def _post(
        self, method: str, scope: Scope, receive: Receive, post: Post, model: str | None = None
    ) -> Response:
        """Answer a prediction, by `model` where the path names one."""
        try:
            _require(method, "POST")
            self._access.require(scope["headers"], "predict")
            if model is not None:
                self._require_model(model)
            deadline = deadline_of(scope["headers"])
            if self._in_flight >= self._limit:
                raise self._overload()
            self._in_flight += 1
            self._asked = time.monotonic()
            try:
                return await post(await deadline.meet(read_json_body(scope, receive), "body"), deadline)
            finally:
                self._in_flight -= 1
                self._asked = time.monotonic()
        except Refusal as refusal:
            return self._refuse(refusal)

    def _overload(self) -> Refusal:
        message = f"{self._in_flight} requests are under way"
        return Refusal(503, _OVERLOADED, message, "try again in a second", reason="in-flight")

    def _refuse(self, refusal: Refusal) -> Response:
        self._metrics.errors[refusal.code] += 1
        if refusal.reason is not None:
            self._metrics.turned_away[refusal.code, refusal.reason] += 1
        return Response(refusal.status, refusal.body, (*JSON, *refusal.headers))

    def _ready(self) -> bool:
        return self._releases.state in ("serving", "holding")

    def _readyz(self) -> Response:
        document = self._releases.current().document
        return json_response(Readiness(document.release, document.bundle, document.sequence, self._releases.state))

    def _v2_ready(self) -> Response:
        return json_response({"ready": self._ready()}, 200 if self._ready() else 503)

    def _status(self) -> Response:
        serving = self._releases.serving
        document = None if serving is None else serving.document
        ready = self._ready()
        return json_response(
            {
                "endpoint": self._endpoint,
                "ready": ready,
                "state": self._releases.state,
                "release": None if document is None else document.release,
                "bundle": None if document is None else document.bundle,
                "sequence": None if document is None else document.sequence,
                "loaded_at": None if serving is None else serving.loaded_at,
                "expires_at": None if document is None else document.expires_at,
                "considered": self._releases.considered,
                "last_error": self._releases.fault if ready else self._releases.trouble(),
                "guarded": self._access.guarded,
                "keys_fault": self._access.fault,
                "online_store": None if serving is None else self._store_of(serving.model),
                "requests": self._metrics.requests.total(),
                "idle": round(self.idle, 3),
                "uptime": round(time.monotonic() - self._started, 3),
                "pid": os.getpid(),
            }
        )

    def _store_of(self, model: Model) -> StoreStatus | None:
        """How the store is doing that the model's features come from; None where none does."""
        if not model.views.views:
            return None
        state = self._predictor.store_state
        return StoreStatus(state.circuit, state.failures, state.fault, model.views.without_store)

    async def _v2_model(self, rest: str, method: str, scope: Scope, receive: Receive) -> Response:
        if rest.endswith("/infer"):
            return await self._post(method, scope, receive, self._predictor.infer, rest.removesuffix("/infer"))
        _require(method, "GET", "HEAD")
        self._access.require(scope["headers"], *_READERS)
        self._require_model(rest.removesuffix("/ready"))
        if rest.endswith("/ready"):
            return self._v2_ready()
        serving = self._releases.current()
        return json_response(model_metadata(serving.model.contract, serving.model.digest))

    def _require_model(self, name: str) -> None:
        model = self._releases.current().model.contract.model
        if name != model:
            raise Refusal(404, "not-found", f"{name[:200]!r} is not the model of this endpoint", f"ask for {model}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.on_startup()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.on_shutdown()
        await send({"type": "lifespan.shutdown.complete"})


async def _nothing() -> None:
    return None


def _require(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refusal(405, "request-invalid", f"the method is {method}", f"use {' or '.join(allowed)}")
