"""What the server says when it does not answer: an HTTP status, a stable code, a message and a hint."""

from collections.abc import Sequence

import msgspec

from formats.errors import RoadbedError


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong in a request, and where: `$.rows[3].distance`."""

    path: str
    message: str


class Fault(msgspec.Struct, frozen=True):
    """Why something is not as it should be."""

    code: str
    message: str
    hint: str


class _Body(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str
    message: str
    hint: str = ""
    errors: Sequence[FieldError] = ()


class Refusal(Exception):  # noqa: N818 - not an error of the server: the answer that a request deserves
    """Ends a request with `status` and a body that says why.

    A `reason` has the request that nothing is wrong with, and that was turned away all the same; it is counted by that.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        errors: Sequence[FieldError] = (),
        *,
        reason: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.reason = reason
        self._retry_after = 1 if retry_after is None and status == 503 else retry_after
        self._body = _Body(code, message, hint, errors)
        super().__init__(f"{status} [{code}] {message}")

    @property
    def body(self) -> bytes:
        """The JSON of the answer."""
        return msgspec.json.encode(self._body)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the answer says besides: when to come again, or that a key is asked for."""
        if self._retry_after is not None:
            return ((b"retry-after", b"%d" % self._retry_after),)
        return ((b"www-authenticate", b"Bearer"),) if self.status == 401 else ()


def invalid_request(errors: Sequence[FieldError], status: int = 422) -> Refusal:
    """The refusal of a request that breaks the contract."""
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return Refusal(
        status, "request-invalid", f"the request has {count}", "GET /openapi.json shows what it takes", errors
    )


def unavailable(fault: Fault) -> Refusal:
    """The refusal of a server that cannot answer now."""
    return Refusal(503, fault.code, fault.message, fault.hint)


def fault_of(error: RoadbedError) -> Fault:
    """The part of an error that travels."""
    return Fault(error.code, error.message, error.hint)
