"""An endpoint that answers one request at a time, as slowly and as wrongly as a test wants."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class _Server(HTTPServer):
    # A connection that finds the queue full is tried again after a second.
    request_queue_size = 128


@contextmanager
def answering(
    *,
    bundle: str,
    seconds: float = 0.0,
    probability: float | None = 0.5,
    status: int = 200,
    dies_on_predict: bool = False,
    stall: float = 0.0,
    asked: list[bytes] | None = None,
) -> Iterator[str]:
    """Yields the address of a server whose `/predict` takes so long and answers so.

    The first answer takes `stall` seconds besides; `asked` gets what was asked.
    """
    bodies: list[bytes] = [] if asked is None else asked

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"live": True})

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            if dies_on_predict:
                self.connection.close()
                return
            time.sleep(seconds + (stall if len(bodies) == 1 else 0.0))
            self._answer(status, {"probability": probability, "bundle": bundle})

        def _answer(self, code: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
