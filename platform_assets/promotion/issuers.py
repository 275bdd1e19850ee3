"""Whose tokens say who a person is: `authority/issuers.yaml` of the installation. Without it, keys alone do (identity.py).

    issuers:
      company:
        issuer: https://login.example.org           # the token's `iss`, letter by letter
        audience: roadbed                           # must be in the token's `aud`
        keys_url: https://login.example.org/jwks    # or keys_file: /etc/roadbed/company.jwks
        roles:
          reviewer: {claim: groups, value: ml-reviewers}
        revoked: []                                 # ids of keys that no longer count, whatever they signed
        locked: []                                  # subjects that no longer count, whatever they said

A role is held by whoever's token has the claim with that value, alone or in a list. The file is the authority's, as is
identities.yaml.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from formats.home import Home
from resources.settings_file import read_settings_file

FILE = "issuers.yaml"

# Signatures by a private key alone: with a shared secret, whoever verifies could sign; `none` is no signature.
Algorithm = Literal["ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class RoleRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token must say for a role."""

    claim: Text
    value: Text

    @property
    def told(self) -> str:
        """The rule as the ledger keeps it with a word."""
        return f"{self.claim}={self.value}"


class Issuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A trusted issuer. Keys are asked for anew after `fresh_minutes`; while it is away, those at hand count for `stale_hours`.

    `once`: a token carries one word, so that nobody can say another with a token that they came by.
    """

    issuer: Text
    audience: Text
    keys_url: str | None = None
    keys_file: str | None = None
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1)] = ("ES256", "RS256")
    roles: dict[str, RoleRule] = {}
    leeway_seconds: Annotated[int, msgspec.Meta(ge=0, le=300)] = 30
    longest_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 60
    fresh_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 60
    stale_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    once: bool = True
    revoked: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.keys_url is None) == (self.keys_file is None):
            raise ValueError("an issuer's keys are either at keys_url or in keys_file")
        if self.keys_file is not None and not Path(self.keys_file).is_absolute():
            raise ValueError("keys_file is an absolute path")
        if self.keys_url is not None and not _protected(self.keys_url):
            raise ValueError("whoever changes keys on their way speaks for everybody: keys_url begins with https")


class Issuers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file: issuers by the name that stands in the ledger."""

    issuers: dict[Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")], Issuer] = {}

    def __post_init__(self) -> None:
        urls = [one.issuer for one in self.issuers.values()]
        if len(urls) != len(set(urls)):
            raise ValueError("two names stand for one issuer")


def load_issuers(home: Home) -> Mapping[str, Issuer]:
    """The trusted issuers by name; none without the file. Raises DeclarationError if it cannot be understood."""
    hint = "each issuer has issuer, audience, keys_url or keys_file, and roles; docs/security.md shows one"
    return read_settings_file(home.authority / FILE, Issuers, hint).issuers


def _protected(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
