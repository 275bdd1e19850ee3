"""`roadbed endpoint logs`: the end of what an endpoint's servers wrote, and what comes."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from formats.errors import EndpointError
from platform_assets.cli.options import Endpoint
from platform_assets.cli.site import find_site
from platform_assets.cli.tables import visible
from resources.local_endpoint_runtime import LocalEndpointRuntime

_BLOCK = 1 << 16
_LOOK_SECONDS = 0.2


def command(
    endpoint: Endpoint,
    lines: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
) -> None:
    """The end of the endpoint's server.log."""
    runtime = LocalEndpointRuntime(find_site().home)
    runtime.observe(endpoint)
    path = runtime.log(endpoint)
    if not path.exists():
        raise EndpointError(
            "endpoint-not-found", f"{endpoint} never ran here: there is no {path}", "start it with `roadbed up`"
        )
    with contextlib.suppress(KeyboardInterrupt):
        for line in followed(path, lines) if follow else last_lines(path, lines):
            print(visible(line), flush=follow)


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of the file, read from its end."""
    with path.open("rb") as file:
        return _last(file, count)


def followed(path: Path, count: int, wait: Callable[[], None] = lambda: time.sleep(_LOOK_SECONDS)) -> Iterator[str]:
    """The last lines, then each line as it is completed; goes on with the new file when the log is begun anew."""
    file, rest = path.open("rb"), b""
    try:
        yield from _last(file, count)
        while True:
            *whole, rest = (rest + file.read()).split(b"\n")
            yield from (_text(line) for line in whole)
            if _is_replaced(path, file):
                yield from (_text(line) for line in (rest + file.read()).splitlines())
                file.close()
                file, rest = path.open("rb"), b""
            else:
                wait()
    finally:
        file.close()


def _is_replaced(path: Path, file: BinaryIO) -> bool:
    """Whether the log was begun anew. In between there is none for a moment."""
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _last(file: BinaryIO, count: int) -> list[str]:
    """The last whole lines; leaves the file behind them."""
    end = at = file.seek(0, os.SEEK_END)
    tail = b""
    while at > 0 and tail.count(b"\n") <= count:
        size = min(at, _BLOCK)
        at -= size
        file.seek(at)
        tail = file.read(size) + tail
    whole, newline, torn = tail.rpartition(b"\n")
    file.seek(end - len(torn))
    lines = whole.split(b"\n") if newline else []
    return [_text(line) for line in lines[len(lines) - min(count, len(lines)) :]]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
