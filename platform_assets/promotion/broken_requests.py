"""Requests that break a contract, made from one that keeps it: the endpoint's decoder must refuse each of them, by name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import polars as pl

from formats.contract import Column, ServingContract
from platform_assets.promotion.results import Finding, finding
from serving.refusals import Refusal
from serving.requests import RequestDecoder

UNKNOWN = "\N{REPLACEMENT CHARACTER} unknown"


class Broken(NamedTuple):
    """A request and what is wrong with it; `sound`: nothing is, so it must be taken."""

    what: str
    body: bytes
    sound: bool = False


def broken_requests(contract: ServingContract, row: pl.DataFrame) -> Iterator[Broken]:
    """The sound request for the one full row, and its breakages: of each column, and of the whole."""
    sound = row.select(column.name for column in contract.columns).to_dicts()[0]
    body = msgspec.json.encode(sound)
    yield Broken("a hold-out row", body, sound=True)
    for column in contract.columns:
        for what, value in chain(_wrong_values(column), _wrong_tensors(column, sound[column.name])):
            yield Broken(f"{column.name} {what}", msgspec.json.encode({**sound, column.name: value}))
        if not column.nullable:
            rest = {name: value for name, value in sound.items() if name != column.name}
            yield Broken(f"{column.name} absent", msgspec.json.encode(rest))
    yield from _wrong_bodies(body, sound)


def judge_requests(decoder: RequestDecoder, requests: Iterable[Broken]) -> list[Finding]:
    """What the decoder took although it is broken, refused although it is sound, or crashed on."""
    return [found for request in requests for found in _judge(decoder, request)]


def _wrong_values(column: Column) -> Iterator[tuple[str, Any]]:
    yield "as a list", []
    yield ("as a number", 12.5) if column.type == "text" else ("as text", UNKNOWN)
    if not column.nullable:
        yield "null", None
    if column.type == "text" and column.strict and column.allowed:
        yield "unknown", UNKNOWN
    if column.shape:
        yield "as a single number", 1
    else:
        yield from _beyond(column)


def _wrong_tensors(column: Column, sound: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 lists in lists
    """`sound` with a list too short or too long at each depth, and with an element that is none."""
    for depth in range(len(column.shape)) if sound is not None else ():
        yield f"too short along axis {depth}", _altered(sound, depth, lambda part: part[:-1])
        yield f"too long along axis {depth}", _altered(sound, depth, lambda part: [*part, part[-1]])
    if column.shape and sound is not None:
        wrong: list[tuple[str, Any]] = [("null", None), ("a text", UNKNOWN), ("a list", []), *_beyond(column)]
        for what, value in wrong:
            yield f"with an element {what}", _altered(sound, len(column.shape), partial(_instead, value))


def _altered(tensor: Any, depth: int, alter: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """`tensor` with its first part at `depth` altered."""
    return alter(tensor) if depth == 0 else [_altered(tensor[0], depth - 1, alter), *tensor[1:]]


def _instead(value: Any, _: Any) -> Any:  # noqa: ANN401
    return value


def _beyond(column: Column) -> Iterator[tuple[str, float]]:
    if column.type in {"int", "float"} and column.minimum is not None:
        yield "below its minimum", column.minimum - 1
    if column.type in {"int", "float"} and column.maximum is not None:
        yield "above its maximum", column.maximum + 1


def _wrong_bodies(body: bytes, sound: Mapping[str, Any]) -> Iterator[Broken]:
    yield Broken("a field too many", msgspec.json.encode({**sound, UNKNOWN: 1}))
    yield Broken("a request cut off", body[: len(body) // 2])
    yield Broken("no request", b"")
    yield Broken("no rows", b'{"rows":[]}')
    yield Broken("a list", b"[" + body + b"]")
    yield Broken("bytes that are no text", b"\xff\xfe" + body)
    yield Broken("brackets without end", b"[" * 100_000)


def _judge(decoder: RequestDecoder, request: Broken) -> Iterator[Finding]:
    try:
        decoder.decode(request.body)
    except Refusal as refusal:
        if request.sound:
            yield finding(request.what, f"refused: {refusal.body.decode()[:200]}", "taken")
        elif not 400 <= refusal.status < 500:
            yield finding(request.what, f"status {refusal.status}", "400 to 499, as the caller is wrong")
    except Exception as error:  # noqa: BLE001 - all that is no Refusal is the crash that the gate looks for
        yield finding(request.what, f"{type(error).__name__}: {error}"[:200], "a refusal")
    else:
        if not request.sound:
            yield finding(request.what, "taken", "a refusal")
