"""The authority's key pair. The private key is read by the authority's process alone; everyone else trusts key.pub.

Embedded, both lie in the state folder, under one user of one machine: what that user's other processes do can be noticed
(edited, cut and forged ledgers are found), but not prevented, since they could read the key as well. In production the key
belongs to a service with an identity of its own, and key.pub is installed with the server.
"""

import fcntl
from pathlib import Path

from formats.durable import write_atomic
from formats.errors import HostError, IntegrityError, PromotionError
from formats.home import Home
from formats.signing import (
    PrivateKey,
    PublicKey,
    load_private_key,
    load_public_key,
    new_private_key,
    private_pem,
    public_pem,
)

_OTHERS = 0o077


def create_key(home: Home) -> PrivateKey:
    """The authority's key, created (mode 0600) if there is none. Raises HostError if the folder cannot be written."""
    try:
        home.authority.mkdir(parents=True, exist_ok=True)
        with (home.authority / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _private(home).exists():
                write_atomic(_private(home), private_pem(new_private_key()), mode=0o600)
            key = load_key(home)
            write_atomic(home.authority / "key.pub", public_pem(key.public_key()))
    except OSError as error:
        raise HostError(
            "home-unusable", f"the authority's key cannot be stored: {error}", "make ROADBED_HOME writable"
        ) from error
    return key


def load_key(home: Home) -> PrivateKey:
    """The authority's private key. Raises PromotionError if it is absent, unreadable, no key, or open to other users."""
    path = _private(home)
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


def trusted_keys(home: Home) -> tuple[PublicKey, ...]:
    """The keys whose signature counts: key.pub, or nobody's before the authority is initialised."""
    path = home.authority / "key.pub"
    return (load_public_key(path.read_bytes()),) if path.exists() else ()


def _private(home: Home) -> Path:
    return home.authority / "key.pem"


def _unavailable(message: str, hint: str) -> PromotionError:
    return PromotionError("authority-unavailable", f"the authority cannot sign: {message}", hint)
