"""What `online.yaml` in the home says: where the online store is.

    redis:                                     # absent: LMDB in the home
      url: rediss://cache.example.org:6380/0
      password_file: /etc/roadbed/redis-password

formats/redis_place.py has every field.
"""

import msgspec

from formats.home import Home
from formats.redis_place import RedisPlace
from resources.settings_file import read_settings_file


class OnlineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. What is absent has its embedded default."""

    redis: RedisPlace | None = None


def read_online_settings(home: Home) -> OnlineSettings:
    """The installation's settings. Raises DeclarationError if the file cannot be understood."""
    hint = "it may have redis, with url, name, user, password_file and more; docs/operating.md shows them"
    return read_settings_file(home.online_settings, OnlineSettings, hint)
