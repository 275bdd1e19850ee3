"""The clock as a document: wall time, or an instant of a replay that someone advances.

Every process of an installation reads the same file, so the endpoint, the sensors and the command line agree on what time it is.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from formats.durable import write_atomic
from formats.errors import DataError


class ClockDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`mode` wall: `instant` is absent. `mode` replay: now is `instant`, UTC."""

    mode: Literal["wall", "replay"]
    instant: datetime | None = None

    def __post_init__(self) -> None:
        if (self.mode == "replay") != (self.instant is not None):
            raise ValueError("a replay has an instant, and a wall clock has none")
        if self.instant is not None and self.instant.tzinfo is None:
            raise ValueError("the instant has no time zone")


def read_now(path: Path) -> datetime:
    """The present by the clock document at `path`; wall time if there is none. UTC."""
    document = read_clock(path)
    return datetime.now(UTC) if document.instant is None else document.instant.astimezone(UTC)


def read_clock(path: Path) -> ClockDocument:
    """The clock document at `path`; a wall clock if there is none. Raises msgspec.DecodeError if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ClockDocument)
    except FileNotFoundError:
        return ClockDocument(mode="wall")


def advance_clock(path: Path, instant: datetime) -> None:
    """Set the replay clock to `instant`.

    Raises:
        DataError: `instant` has no time zone or lies before the present of the replay.
    """
    if instant.tzinfo is None:
        raise DataError(
            "clock-backwards",
            f"{instant.isoformat()} has no time zone",
            "write an offset, for example +00:00",
        )
    before = read_clock(path).instant
    if before is not None and instant < before:
        raise DataError(
            "clock-backwards",
            f"the clock stands at {before.isoformat()} and cannot go back to {instant.isoformat()}",
            "advance to a later instant; to live through the past again, start with an empty ROADBED_HOME",
        )
    document = ClockDocument(mode="replay", instant=instant.astimezone(UTC))
    write_atomic(path, msgspec.json.encode(document))
