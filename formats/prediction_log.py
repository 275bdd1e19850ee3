"""The prediction log: what was asked, with which features, what was answered, by which release.

A segment is a file of records, each `uint32 length | uint32 CRC-32 | MessagePack`, appended by one writer. A crash leaves at most
one torn record at the end, which a reader stops at. Segments are closed by renaming `.open` to `.log`.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from formats.errors import DataError

_FRAME = struct.Struct("<II")

Value = float | str | list[Any] | None


class PredictionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One answered row. `asked_at` is by the installation's clock, `served_at` by the wall; ages are in seconds.

    A tensor is lists in lists. The answer is in one of `probability`, `probabilities` (in the order of the contract's classes) and
    `value`, as the task has it.
    """

    prediction: str
    endpoint: str
    release: str
    bundle: str
    asked_at: datetime
    served_at: datetime
    request: dict[str, float | int | str | bool | list[Any] | None]
    features: dict[str, Value]
    probability: float | msgspec.UnsetType = msgspec.UNSET
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    probabilities: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET
    value: float | msgspec.UnsetType = msgspec.UNSET

    @property
    def answer(self) -> float | tuple[float, ...]:
        """What was answered, whichever it is. Raises DataError if the record holds no answer."""
        for answer in (self.probability, self.probabilities, self.value):
            if not isinstance(answer, msgspec.UnsetType):
                return answer
        raise DataError("data-missing", f"the record of {self.prediction} holds no answer", "look for it in the lake")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PredictionRecord)


def encode_record(record: PredictionRecord) -> bytes:
    """One framed record."""
    return frame(_encoder.encode(record))


def frame(body: bytes) -> bytes:
    """`body` with its length and checksum before it."""
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def whole_records(data: bytes | bytearray) -> int:
    """How many bytes at the start of `data` are whole records; their checksums are not looked at."""
    offset = 0
    while offset + _FRAME.size <= len(data):
        length, _ = _FRAME.unpack_from(data, offset)
        if offset + _FRAME.size + length > len(data):
            break
        offset += _FRAME.size + length
    return offset


def read_segment(data: bytes) -> Iterator[PredictionRecord]:
    """The whole records of a segment, up to the first torn one."""
    return (_decoder.decode(body) for body, _ in _sound(data))


def readable(data: bytes) -> int:
    """How many bytes at the start of `data` are records that `read_segment` gives back; what follows is torn or damaged."""
    return max((end for _, end in _sound(data)), default=0)


def _sound(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The body of each whole record with the offset at which it ends."""
    offset = 0
    while offset + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, offset)
        body = data[offset + _FRAME.size : offset + _FRAME.size + length]
        # No record is empty: a length of zero is what a power cut leaves where blocks were not yet written.
        if not length or len(body) != length or zlib.crc32(body) != checksum:
            return
        offset += _FRAME.size + length
        yield body, offset
