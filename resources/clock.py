"""The Clock: what time it is for the whole installation, by wall or by replay."""

from datetime import UTC, datetime
from pathlib import Path

from formats.clock import advance_clock, read_clock, read_now


class Clock:
    """The installation's clock document at `path`. Data freshness is event time against `now()`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        """The present, UTC."""
        return read_now(self._path)

    @property
    def replaying(self) -> bool:
        """Whether time stands still until someone advances it."""
        return read_clock(self._path).mode == "replay"

    def advance(self, instant: datetime) -> None:
        """Move a replay on to `instant`. Raises DataError if it lies in the past of the replay."""
        advance_clock(self._path, instant)


def wall_now() -> datetime:
    """Wall time, UTC: for what happens to machines and people, never for data."""
    return datetime.now(UTC)
