"""The keys whose signature counts, as a folder of public files: what the authority publishes, and what everyone else installs.

key.pub             the key that signs now
trusted/<id>.pub    keys that signed before; what they signed still counts
revoked             ids of keys, one a line; nothing that they signed counts, whenever it was
"""

from pathlib import Path

from formats.signing import PublicKey, key_id, load_public_key

CURRENT, RETIRED, REVOKED = "key.pub", "trusted", "revoked"


def trusted_keys(folder: Path) -> tuple[PublicKey, ...]:
    """The current key and the retired ones, less what is revoked; none before there is a key.

    Raises IntegrityError for a file that holds no P-256 key, OSError for one that cannot be read.
    """
    current = folder / CURRENT
    keys = (load_public_key(current.read_bytes()),) if current.exists() else ()
    return (*_unrevoked(folder, keys), *retired_keys(folder))


def retired_keys(folder: Path) -> tuple[PublicKey, ...]:
    """The keys that signed before and still count. Raises as `trusted_keys`."""
    keys = (load_public_key(path.read_bytes()) for path in sorted((folder / RETIRED).glob("*.pub")))
    return _unrevoked(folder, tuple(keys))


def revoked_ids(folder: Path) -> frozenset[str]:
    """The ids of the keys that count no longer."""
    path = folder / REVOKED
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


def _unrevoked(folder: Path, keys: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
    revoked = revoked_ids(folder)
    return tuple(key for key in keys if key_id(key) not in revoked)
