"""The note that each update of the online store leaves in it: when that was, of what it was made, and what can be read since."""

from datetime import datetime

import msgspec

from formats.errors import DataError
from formats.packed_features import entity_key
from resources.online_store import OnlineStore


class Update(msgspec.Struct, frozen=True):
    """An update of a team's rows: when it was, by the installation's clock, and the digest of each view then, by name.

    `served` is what endpoints can ask for since: each view as contracts name it (`<team>/<view>@<version>`), with the checksum of
    its packed columns. `guards` is the digest of the keys that were kept out of the views when they were read (online_guard.py).
    It is written in the transaction of the rows, so it is true of them whatever was killed.
    """

    as_of: datetime
    views: dict[str, str]
    served: dict[str, int]
    guards: str = ""


def note_of(team: str, update: Update) -> dict[bytes, bytes]:
    """The row by which the store knows of `update`."""
    return {_key(team): msgspec.json.encode(update)}


def find_update(team: str, store: OnlineStore) -> Update | None:
    """What the team's rows in `store` were made of; None if there are none. Raises DataError if it or the note cannot be read."""
    found = store.get([_key(team)])[0]
    try:
        return None if found is None else msgspec.json.decode(found, type=Update)
    except msgspec.DecodeError as error:
        raise DataError(
            "data-conflict",
            f"the note of {team} in {store.address} is damaged: {error}",
            f"materialize {team}/online_store",
        ) from error


def last_update(team: str, store: OnlineStore) -> Update:
    """What the team's rows in `store` were made of. Raises DataError if there are none, or as `find_update`."""
    update = find_update(team, store)
    if update is None:
        raise DataError(
            "data-missing",
            f"the online store {store.address} holds nothing of {team}",
            f"materialize {team}/online_store",
        )
    return update


def _key(team: str) -> bytes:
    # No view's name is empty, so no entity has this key.
    return entity_key("", (team,))
