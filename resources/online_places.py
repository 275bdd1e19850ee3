"""Which online store an installation has: the one that online.yaml names, or LMDB in the home."""

from formats.home import Home
from resources.online_settings import read_online_settings
from resources.online_store import LmdbOnlineStore, OnlineStore


def open_online_store(home: Home) -> OnlineStore:
    """The installation's online store. Raises DeclarationError if online.yaml cannot be understood."""
    place = read_online_settings(home).redis
    if place is None:
        return LmdbOnlineStore(home.online)
    from resources.redis_online_store import RedisOnlineStore

    return RedisOnlineStore(place)
