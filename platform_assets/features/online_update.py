"""One update of the online store. Keys that were erased stay out of it, also where an update read their rows before.

An erasure closes the views' tables to a key, takes its rows from them, and then from the store. An update that read the rows
before puts them after that. So it looks at the tables' lists again when it has put, and takes away what is on them by now. The note
in the store has the digest of the lists that the update began with: where they are others by then, one before it may have been
killed between the two.
"""

from collections.abc import Sequence

from formats.errors import DataError
from platform_assets.features.online import Contents, contents
from platform_assets.features.online_guard import digest_of_guards, guards_of, sweep
from platform_assets.features.online_note import find_update
from platform_assets.features.spec import FeatureView
from resources.installation import Installation
from resources.online_store import OnlineStore


def update_online_store(team: str, views: Sequence[FeatureView], installation: Installation) -> Contents:
    """Put what is to be servable now, of what the lake holds; what was put. Raises DataError as the stores do."""
    lake, store = installation.lake, installation.online_store
    guards = guards_of(team, views, lake)
    seen = digest_of_guards(guards)
    if _guards_before(team, store) != seen:
        sweep(team, views, guards, lake, store)
    made = contents(team, views, lake, installation.clock.now(), seen)
    store.put(made.rows | made.note)
    now = guards_of(team, views, lake)
    if digest_of_guards(now) != seen:
        sweep(team, views, now, lake, store)
    return made


def _guards_before(team: str, store: OnlineStore) -> str:
    """Those of the update before, if that can be told."""
    try:
        last = find_update(team, store)
    except DataError:  # a damaged note is mended by this update; a store out of reach is said by its `put`
        return ""
    return "" if last is None else last.guards
