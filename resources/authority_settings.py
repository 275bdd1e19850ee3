"""What `authority/authority.yaml` says: where the ledger and its anchors are, and who answers for the authority.

    ledger:
      postgres: host=db.example.org dbname=roadbed user=aviation    # absent: SQLite in the home
    anchors:                                                        # absent: ledger/anchor.json in the home
      - file: /mnt/elsewhere/anchor.json
      - git: /srv/anchors.git
    service:                                                        # absent: the authority is a process of this machine
      url: http://127.0.0.1:8731
      token_file: /home/aviation/.roadbed-token

Each side has a file of its own: the service's names the database role that may write signed rows, a team's the role that may not.
Passwords do not stand in it; libpq finds them in the file that `passfile=` names.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from formats.home import Home
from resources.settings_file import read_settings_file

FILE = "authority.yaml"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class LedgerPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A database, as libpq's keywords or URL."""

    postgres: str


class AnchorPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place for the anchor: an absolute path of a `file`, or of a `git` repository."""

    file: str | None = None
    git: str | None = None

    def __post_init__(self) -> None:
        named = [path for path in (self.file, self.git) if path is not None]
        if len(named) != 1 or not Path(named[0]).is_absolute():
            raise ValueError("an anchor is either a file or a git repository, named by an absolute path")


class ServicePlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The authority's service, and the file that holds this caller's token."""

    url: str
    token_file: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(
                "the token must not travel in the clear: beyond loopback the service's url begins with https"
            )


class AuthoritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. What is absent has its embedded default; `anchors`, once given, replaces the default."""

    ledger: LedgerPlace | None = None
    anchors: tuple[AnchorPlace, ...] | None = None
    service: ServicePlace | None = None

    def __post_init__(self) -> None:
        if self.anchors == ():
            raise ValueError("a ledger without any anchor could be cut unnoticed; name one, or leave `anchors` out")


def read_settings(home: Home) -> AuthoritySettings:
    """The installation's settings. Raises DeclarationError if the file cannot be understood."""
    hint = "it may have ledger, anchors and service; docs/security.md shows each"
    return read_settings_file(home.authority / FILE, AuthoritySettings, hint)
