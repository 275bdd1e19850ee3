"""How long a caller waits: `x-roadbed-deadline-ms`, counted from when the server takes the request up.

A request that is late is refused with 504 `deadline-exceeded` and is not inferred: nobody waits for the answer any more, and the
model's time goes to those who do. It is no 503, which says that the server cannot answer now and asks to be tried again: this one
may be well, and the same request with as little time is as late.
"""

import asyncio
import math
from collections.abc import Awaitable, Iterable
from time import monotonic
from typing import Final, Literal, NamedTuple, TypeVar

from serving.refusals import Refusal

HEADER: Final = b"x-roadbed-deadline-ms"
MAX_MILLISECONDS: Final = 3_600_000
_DIGITS: Final = len(str(MAX_MILLISECONDS))

Stage = Literal["body", "features", "queue"]
T = TypeVar("T")


class Deadline(NamedTuple):
    """The instant (of time.monotonic) after which nobody waits any more; `asked` milliseconds after the request came."""

    at: float
    asked: int

    async def meet(self, work: Awaitable[T], stage: Stage) -> T:
        """What `work` gives, if it gives it in time. Raises Refusal, 504, once the deadline is over."""
        if self.at == math.inf:
            return await work
        try:
            async with asyncio.timeout(max(0.0, self.at - monotonic())) as limit:
                done = await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self.late(stage) from error
        # What was there at once did not wait, and may come too late all the same.
        if monotonic() >= self.at:
            raise self.late(stage)
        return done

    def late(self, stage: Stage) -> Refusal:
        """The refusal of a request that was late at `stage`: its body, its features, or waiting for the model."""
        message = f"the {self.asked} ms that the caller gives were over while the request waited for its {stage}"
        if stage == "queue":
            message = f"the {self.asked} ms that the caller gives were over before the model ran"
        return Refusal(
            504, "deadline-exceeded", message, "give it more time, or ask for fewer rows at once", reason=stage
        )


NEVER: Final = Deadline(math.inf, 0)


def deadline_of(headers: Iterable[tuple[bytes, bytes]]) -> Deadline:
    """The deadline that a request's headers name, from now on; NEVER without one. Raises Refusal, 400, if it is none."""
    given = [value for name, value in headers if name == HEADER]
    if not given:
        return NEVER
    text = given[0]
    # Digits alone: int() would also take signs, spaces and underscores, and a number of a million digits.
    if len(given) > 1 or not (text.isdigit() and len(text) <= _DIGITS and int(text) <= MAX_MILLISECONDS):
        told = " and ".join(value[:20].decode("latin-1") for value in given[:3])
        raise Refusal(
            400,
            "request-invalid",
            f"{HEADER.decode()} is {told!r}; it takes one whole number of milliseconds from 0 to {MAX_MILLISECONDS}",
            "say how long you wait from now on, or leave the header out",
        )
    milliseconds = int(text)
    return Deadline(monotonic() + milliseconds / 1000, milliseconds)
