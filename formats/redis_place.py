"""Where the online store is when it is in Redis, and how to get in: what `online.yaml` says and a server is started with.

    url: rediss://cache.example.org:6380/0           # redis:// without TLS
    name: roadbed                                    # the hash that holds the rows
    user: roadbed                                    # absent: the default user
    password_file: /etc/roadbed/redis-password       # or password_variable: the name of an environment variable
    ca_file: /etc/roadbed/ca.pem                     # absent: the system's
    certificate_file: /etc/roadbed/client.pem        # with key_file, where the server asks for one
    key_file: /etc/roadbed/client.key

Secrets are named here and never written, so the document may stand in a process's arguments and in a log.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from formats.errors import DataError

MARKER = b""  # the field that says that the hash is an online store: a hash without it was never filled, or was lost
FORMAT = b"roadbed/online@1"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PORT = 6379


class RedisPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A Redis server, the hash in it that is the online store, and where its secrets are."""

    url: str
    name: str = "roadbed"
    user: str | None = None
    password_file: str | None = None
    password_variable: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        for broken in (self._wrong_url(), self._wrong_password(), self._wrong_files()):
            if broken is not None:
                raise ValueError(broken)

    @property
    def address(self) -> str:
        """The server's address and the hash's name, for people."""
        return f"{self.url}#{self.name}"

    @property
    def secured(self) -> bool:
        """Whether the connection uses TLS."""
        return self.url.startswith("rediss:")

    def _wrong_url(self) -> str | None:
        # None of these says what the url is: it may have a password in it by mistake.
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("redis", "rediss") and parts.hostname is not None and parts.port != 0
        except ValueError:
            return "the url's port is no number below 65536"
        if parts.username is not None or parts.password is not None:
            return (
                "no user or password belongs in the url; name them by `user` and `password_file` or `password_variable`"
            )
        database = parts.path.removeprefix("/")
        if not known or parts.query or parts.fragment or not (database == "" or database.isdecimal()):
            return "the url is not of the form redis[s]://host[:port][/database]"
        return None if self.name else "the name is empty"

    def _wrong_password(self) -> str | None:
        given = [one for one in (self.password_file, self.password_variable) if one is not None]
        if len(given) > 1:
            return "the password is either in a file or in a variable"
        if self.user is not None and not given:
            return "a user needs a password: name `password_file` or `password_variable`"
        if given and not self.secured and urlsplit(self.url).hostname not in _LOOPBACK:
            return "the password must not travel in the clear: beyond loopback the url begins with rediss"
        return None

    def _wrong_files(self) -> str | None:
        tls = (self.ca_file, self.certificate_file, self.key_file)
        if any(tls) and not self.secured:
            return "files for TLS belong to a url that begins with rediss"
        if (self.certificate_file is None) != (self.key_file is None):
            return "a certificate and its key come together"
        relative = [path for path in (self.password_file, *tls) if path is not None and not Path(path).is_absolute()]
        return f"{relative[0]} is not an absolute path" if relative else None


def connection_options(place: RedisPlace) -> dict[str, Any]:
    """What redis-py's clients take to connect; the password is read now, so that a new one is found by connecting again.

    Raises:
        DataError: the password or a file of TLS cannot be read.
    """
    parts = urlsplit(place.url)
    options: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or _PORT,
        "db": int(parts.path.removeprefix("/") or 0),
        "username": place.user,
        "password": _password(place),
    }
    if not place.secured:
        return options
    for path in (place.ca_file, place.certificate_file, place.key_file):
        if path is not None:
            _read(path)
    return options | {
        "ssl": True,
        "ssl_ca_certs": place.ca_file,
        "ssl_certfile": place.certificate_file,
        "ssl_keyfile": place.key_file,
    }


def _password(place: RedisPlace) -> str | None:
    if place.password_file is not None:
        return _read(place.password_file).removesuffix("\n")
    if place.password_variable is None:
        return None
    password = os.environ.get(place.password_variable)
    if password is None:
        raise _refused(f"the environment has no {place.password_variable}, which is to hold the password")
    return password


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(f"{path} cannot be read: {type(error).__name__}") from error


def _refused(why: str) -> DataError:
    return DataError(
        "online-store-refused",
        f"the online store cannot be asked: {why}",
        "look at what online.yaml names as its secrets",
    )
