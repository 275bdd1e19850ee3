"""What `storage.yaml` in the home says: where tables are, if not in the home.

    lake:                                      # absent: Delta tables in the home
      bucket: roadbed
      prefix: production/lake
      endpoint: https://objects.example.org
      key_id: roadbed
      secret_file: /etc/roadbed/s3-secret

resources/object_place.py has every field.
"""

import msgspec

from formats.home import Home
from resources.object_place import ObjectPlace
from resources.settings_file import read_settings_file


class StorageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. What is absent has its embedded default."""

    lake: ObjectPlace | None = None


def read_storage_settings(home: Home) -> StorageSettings:
    """The installation's settings. Raises DeclarationError if the file cannot be understood."""
    hint = "it may have lake, with bucket, prefix, endpoint, key_id, secret_file and more; docs/storage.md shows them"
    return read_settings_file(home.storage_settings, StorageSettings, hint)
