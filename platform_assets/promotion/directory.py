"""Who the authority's service knows, for auditors, who may not read its folder: `releases/identities.json`, signed by its key.

Names, roles, public keys, logins, issuers and callers, as they are since `at`; no addresses and no tokens. The service writes it at
its start and when it changed. What somebody was allowed to in the past stands with their word in the ledger, which the authority
verified.
"""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from formats.canonical import canonical_json
from formats.durable import write_atomic
from formats.errors import RoadbedError
from formats.home import Home
from formats.signing import open_envelope, sign
from platform_assets.promotion.callers import load_callers
from platform_assets.promotion.identity import Identities, Identity, load_identities
from platform_assets.promotion.issuers import Issuer
from platform_assets.promotion.keys import load_key, trusted_keys
from resources.authority_settings import read_settings
from resources.clock import wall_now

PAYLOAD_TYPE = "application/vnd.roadbed.identities+json"


class Directory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is published. `at` is the wall's time since when it is so."""

    at: datetime
    people: dict[str, Identity]
    issuers: dict[str, Issuer]
    callers: tuple[str, ...]


class Known(NamedTuple):
    """Who is known to a reader: by the authority's own files, or as published; `why` says why nobody is."""

    identities: Identities
    callers: tuple[str, ...] = ()
    why: str = ""

    def right_of(self, actor: str) -> str:
        """By what right `actor`, as a row of the ledger names it, could ask."""
        issuer, _, name = actor.partition(":")
        if name:
            trusted = "trusted" if issuer in self.identities.issuers else "trusted no more"
            return f"{name}, by a token of {issuer}, which is {self.why or trusted}"
        if actor in self.callers:
            return "a caller of the authority's service, by its token"
        return self.why or "a process or a login of the machine, as it named itself"


def published_path(home: Home) -> Path:
    """Where the directory lies: with the releases, which the service writes and everybody reads."""
    return home.root / "releases" / "identities.json"


def publish(home: Home) -> None:
    """Publish who is known, if that is not what is published. Raises OSError, and RoadbedError for files that are unclear."""
    known, path = load_identities(home), published_path(home)
    people = {name: msgspec.structs.replace(person, emails=()) for name, person in known.people.items()}
    callers = tuple(sorted(load_callers(home.authority)))
    now = Directory(at=wall_now(), people=people, issuers=known.issuers, callers=callers)
    before = _read(home)
    if before is None or msgspec.structs.replace(before, at=now.at) != now:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, sign(canonical_json(msgspec.to_builtins(now)), PAYLOAD_TYPE, load_key(home)), mode=0o644)


def known_to(home: Home) -> Known:
    """Who is known in `home`: embedded by its own files, of a service as published. Raises DeclarationError for unclear files."""
    if read_settings(home).service is None:
        return Known(load_identities(home))
    found = _read(home)
    if found is None:
        return Known(Identities({}), why="unknown: no directory that the authority signed is published here")
    return Known(Identities(found.people, found.issuers), found.callers)


def _read(home: Home) -> Directory | None:
    try:
        payload = open_envelope(published_path(home).read_bytes(), PAYLOAD_TYPE, trusted_keys(home))
        return msgspec.json.decode(payload, type=Directory)
    except (OSError, RoadbedError, msgspec.DecodeError):
        return None
