"""The little HTTP that the server needs on top of ASGI: requests with bounded bodies, and responses."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

from serving.refusals import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

MAX_BODY = 4 << 20
_BODY_SECONDS = 30.0

JSON: Headers = ((b"content-type", b"application/json"),)
TEXT: Headers = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)


class Disconnected(Exception):  # noqa: N818 - not an error: a client may go away
    """The client left before its request was complete."""


class Response(NamedTuple):
    """What goes back."""

    status: int
    body: bytes
    headers: Headers = JSON


def json_response(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(status, msgspec.json.encode(value))


async def read_json_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request that says it is JSON, or says nothing. Raises Refusal when it is too large or something else."""
    for name, value in scope["headers"]:
        if name == b"content-type" and not value.lower().startswith(b"application/json"):
            raise Refusal(
                415,
                "request-invalid",
                f"the body is {value[:100].decode('latin-1')!r}",
                "send content-type: application/json",
            )
        if name == b"content-length" and int(value) > MAX_BODY:
            raise _too_large()
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(body, receive)
    if message["type"] == "http.disconnect":
        raise Disconnected
    if len(body) > MAX_BODY:
        raise _too_large()
    return body


async def _rest(body: bytes, receive: Receive) -> bytes:
    parts, size = [body], len(body)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY:
                    raise _too_large()
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError as error:
        raise Refusal(
            408, "request-invalid", f"the body took longer than {_BODY_SECONDS:g} s", "send it at once"
        ) from error


async def send_response(send: Send, response: Response) -> None:
    """Send `response`."""
    length = (b"content-length", str(len(response.body)).encode())
    headers = (*response.headers, length)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _too_large() -> Refusal:
    return Refusal(413, "request-invalid", f"the body is larger than {MAX_BODY} bytes", "send fewer rows at a time")
