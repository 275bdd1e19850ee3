"""The installation's clock as the server sees it: the document is read a few times a second, not with each request."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from formats.clock import ClockDocument, read_clock

_log = logging.getLogger(__name__)


class ServingClock:
    """Now, by the clock document at `path` as of the last `refresh`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._document = ClockDocument(mode="wall")
        self._readable = True
        self.refresh()

    def refresh(self) -> None:
        """Read the document again; one that cannot be read leaves the clock as it was."""
        try:
            self._document = read_clock(self._path)
            self._readable = True
        except (OSError, msgspec.DecodeError) as error:
            if self._readable:
                _log.warning("the clock %s cannot be read (%s); the last reading stays in force", self._path, error)
            self._readable = False

    def now(self) -> datetime:
        """The present, UTC."""
        return self._document.instant or datetime.now(UTC)
