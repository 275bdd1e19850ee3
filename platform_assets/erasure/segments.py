"""Records about a key in segments of the prediction log that are not in the lake yet."""

import time
from collections.abc import Sequence
from pathlib import Path

from formats.durable import write_atomic
from formats.packed_features import key_text
from formats.prediction_log import PredictionRecord, encode_record, read_segment, readable
from platform_assets.monitoring.spool import content
from resources.erased_keys import Action, Place

_PATIENCE = 20.0  # seconds; a writer closes its segment every five


def about(record: PredictionRecord, place: Place, key: Sequence[str]) -> bool:
    """Whether the request of `record` was about `key`."""
    values = [record.request.get(name) for name in place.columns]
    return all(_is(value, wanted) for value, wanted in zip(values, key, strict=True))


def _is(value: object, wanted: str) -> bool:
    """Whether the value of a request is that of a key; a tensor is none."""
    return isinstance(value, str | float | int) and key_text(value) == wanted


def counted(spool: Path, place: Place, key: Sequence[str]) -> int:
    """How many records of the spool are about `key`, those in the segment that is being written included."""
    return sum(about(record, place, key) for path in _segments(spool) for record in read_segment(content(path)))


def clear(spool: Path, place: Place, key: Sequence[str], action: Action) -> int:
    """Take them out of closed segments, or mask their keys; how many are left in one that is still being written."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        for path in _segments(spool):
            if path.suffix != ".open":
                _rewrite(path, place, key, action)
        left = counted(spool, place, key)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.2)


def _rewrite(path: Path, place: Place, key: Sequence[str], action: Action) -> None:
    data = content(path)
    records = list(read_segment(data))
    if not any(about(record, place, key) for record in records):
        # What of a damaged segment cannot be read is in nobody's hands: it goes if it may be about the key.
        sound = readable(data)
        rest = data[sound:]
        if rest and all(value.encode() in rest for value in key) and path.exists():
            write_atomic(path, data[:sound])
        return
    kept = [_kept(record, place, key, action) for record in records]
    if path.exists():  # a run that has taken it in may have removed it
        write_atomic(path, b"".join(encode_record(record) for record in kept if record is not None))


def _kept(record: PredictionRecord, place: Place, key: Sequence[str], action: Action) -> PredictionRecord | None:
    import msgspec

    if not about(record, place, key):
        return record
    if action == "erase":
        return None
    return msgspec.structs.replace(record, request={**record.request, **dict.fromkeys(place.columns)})


def _segments(spool: Path) -> list[Path]:
    return sorted(path for path in spool.glob("*") if path.suffix in {".log", ".open", ".damaged"})
