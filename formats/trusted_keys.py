"""The keys whose signature counts, as a folder of public files: what the authority publishes, and what everyone else installs.

key.pub             the key that signs now
trusted/<id>.pub    keys that signed before; what they signed still counts
revoked             ids of keys, one a line; nothing that they signed counts, whenever it was
origins/<name>.pub  keys of other installations; what they attested may be imported, and counts for nothing else
"""

from pathlib import Path

from formats.signing import PublicKey, key_id, load_public_key

CURRENT, RETIRED, REVOKED, ORIGINS = "key.pub", "trusted", "revoked", "origins"


def trusted_keys(folder: Path) -> tuple[PublicKey, ...]:
    """The current key and the retired ones, less what is revoked; none before there is a key.

    Raises IntegrityError for a file that holds no P-256 key, OSError for one that cannot be read.
    """
    current = folder / CURRENT
    keys = (load_public_key(current.read_bytes()),) if current.exists() else ()
    return (*_unrevoked(folder, keys), *retired_keys(folder))


def retired_keys(folder: Path) -> tuple[PublicKey, ...]:
    """The keys that signed before and still count. Raises as `trusted_keys`."""
    return _unrevoked(folder, _keys_in(folder / RETIRED))


def origin_keys(folder: Path) -> tuple[PublicKey, ...]:
    """The keys whose attestations may be imported: those of other installations, and one's own. Raises as `trusted_keys`."""
    return (*trusted_keys(folder), *_unrevoked(folder, _keys_in(folder / ORIGINS)))


def revoked_ids(folder: Path) -> frozenset[str]:
    """The ids of the keys that count no longer."""
    path = folder / REVOKED
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


def _keys_in(folder: Path) -> tuple[PublicKey, ...]:
    return tuple(load_public_key(path.read_bytes()) for path in sorted(folder.glob("*.pub")))


def _unrevoked(folder: Path, keys: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
    revoked = revoked_ids(folder)
    return tuple(key for key in keys if key_id(key) not in revoked)
