"""What is asked of an endpoint beside its release: files in its folder, which outlive whoever reads them.

sleep.json      asleep until a person wakes it: callers are refused
nap.json        asleep until somebody calls: callers wait while the server starts
restart.json    the last restart that was asked for
settings.json   what its team declares about running it
"""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from formats.durable import write_atomic
from serving.desired import fingerprint

_SLEEP, _NAP, _RESTART, _SETTINGS = "sleep.json", "nap.json", "restart.json", "settings.json"


class Sleep(msgspec.Struct, frozen=True):
    """Who put the endpoint to sleep, when and why; and whether the first caller wakes it (`until_asked`) or a person alone."""

    by: str
    at: datetime
    reason: str
    until_asked: bool = False

    def __str__(self) -> str:
        end = "its next caller" if self.until_asked else "`roadbed endpoint wake`"
        return f"asleep since {self.at:%Y-%m-%d %H:%M} UTC until {end}, by {self.by}: {self.reason}"


class Restart(msgspec.Struct, frozen=True):
    """Who asked for a restart, and when."""

    by: str
    at: datetime


class Settings(msgspec.Struct, frozen=True):
    """How an endpoint is run: `idle_after` seconds without a prediction put it to sleep until somebody asks; None: never."""

    idle_after: float | None = None


def put_to_sleep(folder: Path, sleep: Sleep) -> None:
    """Make `sleep` what is wished, in place of any other sleep."""
    wanted, other = (_NAP, _SLEEP) if sleep.until_asked else (_SLEEP, _NAP)
    write_atomic(folder / wanted, msgspec.json.encode(sleep))
    (folder / other).unlink(missing_ok=True)


def take_nap(folder: Path, sleep: Sleep) -> None:
    """Wish it asleep until somebody calls, unless a person wishes otherwise."""
    write_atomic(folder / _NAP, msgspec.json.encode(sleep))


def end_sleep(folder: Path) -> None:
    """Wish it awake."""
    end_nap(folder)
    (folder / _SLEEP).unlink(missing_ok=True)


def end_nap(folder: Path) -> None:
    """Wish it awake, unless a person wishes otherwise."""
    (folder / _NAP).unlink(missing_ok=True)


def read_sleep(folder: Path) -> Sleep | None:
    """The sleep that is wished: a person's before one until somebody asks. One that cannot be read is a person's all the same."""
    for name in (_SLEEP, _NAP):
        path = folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=Sleep)
        except FileNotFoundError:
            continue
        except msgspec.DecodeError as error:
            return Sleep("somebody", datetime.now(UTC), f"{path} cannot be read ({error})", until_asked=name == _NAP)
    return None


def ask_for_restart(folder: Path, restart: Restart) -> None:
    """Wish the server ended and started again."""
    write_atomic(folder / _RESTART, msgspec.json.encode(restart))


def restart_mark(folder: Path) -> str | None:
    """A text that changes with each restart that is asked for."""
    return fingerprint(folder / _RESTART)


def read_settings(folder: Path) -> Settings:
    """What the team declares; the defaults where nothing is declared. Raises msgspec.DecodeError for what is no settings."""
    try:
        return msgspec.json.decode((folder / _SETTINGS).read_bytes(), type=Settings)
    except FileNotFoundError:
        return Settings()


def write_settings(folder: Path, settings: Settings) -> None:
    """Replace the settings, if they differ."""
    path, document = folder / _SETTINGS, msgspec.json.encode(settings)
    if not path.exists() or path.read_bytes() != document:
        write_atomic(path, document)


def wishes_mark(folder: Path) -> str:
    """A text that changes with every wish, so that one can tell what an observation knew."""
    return " ".join(str(fingerprint(folder / name)) for name in (_SLEEP, _NAP, _RESTART, _SETTINGS))
