"""All that is desired of one endpoint, as it was read last: its release document, and the wishes beside it."""

import logging
from pathlib import Path

import msgspec

from resources.endpoint_wishes import Settings, Sleep, read_settings, read_sleep, restart_mark, wishes_mark
from resources.reconciler import Desired
from serving.desired import claimed_release, fingerprint

_log = logging.getLogger(__name__)


class Wished:
    """What is desired of the endpoint in `folder`. `claimed` is the release that its document claims to be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.desired = Desired(None)
        self.claimed: str | None = None
        self.mark: str | None = None
        self.sleep: Sleep | None = None
        self.settings = Settings()

    @property
    def napping(self) -> bool:
        """Whether it sleeps until somebody calls."""
        return self.sleep is not None and self.sleep.until_asked

    def read(self) -> None:
        """Look at the files again."""
        version = fingerprint(self._folder / "release.json")
        if version != self.desired.version:
            self.claimed = _claimed(self._folder / "release.json")
        mark = wishes_mark(self._folder)
        if mark != self.mark:
            self.sleep, self.settings, self.mark = read_sleep(self._folder), self._read_settings(), mark
        self.desired = Desired(version, self.sleep is not None, restart_mark(self._folder), self.settings.idle_after)

    def _read_settings(self) -> Settings:
        try:
            return read_settings(self._folder)
        except msgspec.DecodeError as error:
            _log.error("the settings in %s cannot be understood, and count for nothing: %s", self._folder, error)
            return Settings()


def _claimed(path: Path) -> str | None:
    try:
        return claimed_release(path.read_bytes())
    except FileNotFoundError:
        return None
