"""uvicorn's server, ending without losing a request.

uvicorn closes every connection on which no request is under way when it is told to end, also one that it accepted a moment ago and
whose request is still on its way. Here it stops accepting first (what comes then waits at the socket, if its owner keeps it), lets
what was accepted be asked and answered, tells each caller with the answer that the connection ends, and only then closes.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from typing_extensions import override

GRACE_SECONDS = 1.0
# The longest that a request can take: 30 s for its body (serving/http.py), and its answer.
PATIENT_SECONDS = 40.0
_LOOK_SECONDS = 0.05


class DrainingServer(uvicorn.Server):
    """Ends on SIGTERM within uvicorn's own limit, and after `drain` only once nothing is `busy` any more."""

    def __init__(self, config: uvicorn.Config, busy: Callable[[], bool]) -> None:
        super().__init__(config)
        self._busy = busy
        self._patient = False

    def drain(self) -> None:
        """End when everything that is under way is answered; SIGTERM ends this patience."""
        self._patient = True
        self.should_exit = True

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._patient = False
        super().handle_exit(sig, frame)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await self._answer_the_last()
        await super().shutdown(sockets)

    async def _answer_the_last(self) -> None:
        since = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            waited = time.monotonic() - since
            limit = PATIENT_SECONDS if self._patient and self._busy() else GRACE_SECONDS
            if not self.server_state.connections or waited >= limit:
                return
