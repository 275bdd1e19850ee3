"""The authority's key pair. The private key is read by the authority's process alone; everyone else trusts key.pub.

Embedded, both lie in the state folder, under one user of one machine: what that user's other processes do can be noticed
(edited, cut and forged ledgers are found), but not prevented, since they could read the key as well. The service
(authority_service.py) keeps both in a folder of its own, and key.pub is copied to where the others trust it.
"""

import fcntl
from pathlib import Path

from formats.durable import write_atomic
from formats.errors import HostError, IntegrityError, PromotionError
from formats.home import Home
from formats.signing import (
    PrivateKey,
    PublicKey,
    key_id,
    load_private_key,
    new_private_key,
    private_pem,
    public_pem,
)
from formats.trusted_keys import CURRENT, RETIRED, REVOKED, retired_keys, revoked_ids
from formats.trusted_keys import trusted_keys as trusted_keys_in

_OTHERS = 0o077


def create_key(home: Home) -> PrivateKey:
    """The authority's key, created (mode 0600) if there is none. Raises HostError if the folder cannot be written."""
    try:
        home.authority.mkdir(parents=True, exist_ok=True)
        with (home.authority / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not private_key_file(home).exists():
                write_atomic(private_key_file(home), private_pem(new_private_key()), mode=0o600)
            key = load_key(home)
            write_atomic(home.authority / CURRENT, public_pem(key.public_key()))
    except OSError as error:
        raise _unstored(error) from error
    return key


def load_key(home: Home) -> PrivateKey:
    """The authority's private key. Raises PromotionError if it is absent, unreadable, no key, or open to other users."""
    path = private_key_file(home)
    try:
        if path.stat().st_mode & _OTHERS:
            raise _unavailable(
                f"{path.name} may be read by other users", f"run `chmod 600 {path}`; if others could copy it, rotate it"
            )
        return load_private_key(path.read_bytes())
    except FileNotFoundError as error:
        raise _unavailable("there is no signing key", "run `roadbed up`, which initialises the authority") from error
    except (OSError, ValueError, IntegrityError) as error:
        raise _unavailable(
            f"{path.name} cannot be used: {error}",
            "restore it from a copy; without it a new installation must be initialised",
        ) from error


def replace_key(home: Home) -> str:
    """Let a new key sign from now on, and trust what the present one signed; the new key's id.

    Killed half-way, the next `create_key` completes it. Raises PromotionError as `load_key`, HostError as `create_key`.
    """
    old = load_key(home).public_key()
    try:
        write_atomic(home.authority / RETIRED / f"{key_id(old)}.pub", public_pem(old))
        write_atomic(private_key_file(home), private_pem(new_private_key()), mode=0o600)
    except OSError as error:
        raise _unstored(error) from error
    return key_id(create_key(home).public_key())


def revoke_key(home: Home, keyid: str) -> None:
    """Let nothing count that the retired key `keyid` signed. Raises PromotionError if it is none of the retired ones."""
    known = {path.stem for path in (home.authority / RETIRED).glob("*.pub")}
    if keyid not in known or keyid == key_id(load_key(home).public_key()):
        raise PromotionError(
            "authority-unavailable",
            f"{keyid} is no retired key; retired are {', '.join(sorted(known)) or 'none'}",
            "a key that still signs is first replaced with `roadbed ledger rotate-key`",
        )
    revoked = sorted(revoked_ids(home.authority) | {keyid})
    write_atomic(home.authority / REVOKED, "".join(f"{one}\n" for one in revoked).encode())


def trusted_keys(home: Home) -> tuple[PublicKey, ...]:
    """The keys whose signature counts; nobody's before the authority is initialised."""
    return trusted_keys_in(home.authority)


def signing_keys(home: Home, key: PrivateKey) -> tuple[PublicKey, ...]:
    """The keys that the holder of `key` trusts: its own, and the retired ones."""
    return (key.public_key(), *retired_keys(home.authority))


def public_keys(home: Home) -> tuple[PublicKey, ...]:
    """The trusted keys, of which there must be one. Raises PromotionError if there is none."""
    trusted = trusted_keys(home)
    if not trusted:
        raise PromotionError(
            "authority-unavailable",
            f"there is no public key in {home.authority}, so no signature can be checked",
            "run `roadbed up`, which initialises the authority; of a service, copy its key.pub there",
        )
    return trusted


def private_key_file(home: Home) -> Path:
    """Where the key that signs lies; in service mode nothing is there for a team."""
    return home.authority / "key.pem"


def _unstored(error: OSError) -> HostError:
    return HostError("home-unusable", f"the authority's key cannot be stored: {error}", "make ROADBED_HOME writable")


def _unavailable(message: str, hint: str) -> PromotionError:
    return PromotionError("authority-unavailable", f"the authority cannot sign: {message}", hint)
