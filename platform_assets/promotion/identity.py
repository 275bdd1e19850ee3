"""Who may say what: people by name, their roles and public keys, from `authority/identities.yaml` of the installation.

    anna:
      emails: [anna@example.org]
      roles: [reviewer]
      keys: ["-----BEGIN PUBLIC KEY-----..."]
      logins: [company:00u1a2]  # the same person by tokens: an issuer of issuers.yaml, and its subject
      revoked: []               # ids of keys that no longer count, whatever they signed

A token also speaks for the person who has the address that its issuer verified, in the roles that its claims give. So whoever has
key and token is one person: counted once, and not heard about their own work. A token of somebody who is not listed speaks in the
name of that address.

The file belongs to whoever runs the platform: in production the authority's service alone can read and change it. Embedded it is a
file of the same user as everything else (docs/security.md says what that means).
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from formats.durable import write_atomic
from formats.errors import ContractError, DeclarationError, IntegrityError
from formats.home import Home
from formats.signing import Envelope, PublicKey, key_id, load_public_key, open_envelope
from platform_assets.promotion.issuers import Issuer, load_issuers
from platform_assets.promotion.login import Login
from platform_assets.promotion.statement import PAYLOAD_TYPE, Given, Statement, read_statement


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One person. `emails` are those of commits, so that an author is known as such; `keys` are PEM."""

    roles: tuple[str, ...]
    keys: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()

    @cached_property
    def trusted(self) -> Mapping[str, PublicKey]:
        """The keys that count, by id. Raises IntegrityError for what is no key."""
        found = {key_id(key): key for key in (load_public_key(pem.encode()) for pem in self.keys)}
        return {keyid: key for keyid, key in found.items() if keyid not in self.revoked}


class Identities:
    """Everyone whose word may count."""

    def __init__(self, people: Mapping[str, Identity], issuers: Mapping[str, Issuer] | None = None) -> None:
        self.people = dict(people)
        self.issuers = dict(issuers or {})

    def opened(self, envelope: bytes) -> tuple[Statement, str]:
        """The statement in `envelope` and the id of its key.

        Raises:
            IntegrityError: nobody's key signed it, or it was altered.
            ContractError: it is no statement, or its signer speaks in another's name, or in a role that is not theirs.
        """
        keyid = _signer(envelope)
        name, key = self._owner(keyid)
        statement = read_statement(open_envelope(envelope, PAYLOAD_TYPE, [key]))
        if statement.actor != name:
            raise _refused(f"{name} signed a statement in the name of {statement.actor}")
        if statement.role not in self.people[name].roles:
            raise _refused(f"{name} is no {statement.role}, but {', '.join(self.people[name].roles) or 'nothing'}")
        return statement, keyid

    def speaker(self, login: Login) -> str:
        """The name of whoever speaks by `login`.

        Raises ContractError if that is two people, or somebody of whom no address is known, so that their own work is not either.
        """
        found = {name for name, person in self.people.items() if _is(name, person, login)}
        if len(found) > 1:
            raise _refused(
                f"the token is {' and '.join(sorted(found))} at once: login and address are of different people"
            )
        if found:
            return found.pop()
        if login.email is None:
            raise _refused(f"{login.name} is nobody's login, and the issuer verified no address of theirs")
        return login.email

    def roles(self, login: Login) -> frozenset[str]:
        """The roles held by `login`: those that its claims gave and, if the login is listed, those of the person."""
        listed = [person.roles for person in self.people.values() if login.name in person.logins]
        return frozenset(login.granted).union(*listed)

    def vouches(self, given: Given) -> bool:
        """Whether a statement that was recorded once still counts: key or login not taken back, the role still held."""
        said = given.statement
        if given.login is not None:
            return self._still(given.login, said)
        person = self.people.get(said.actor)
        return person is not None and said.role in person.roles and given.keyid in person.trusted

    def wrote(self, actor: str, authors: tuple[str, ...], email: str | None = None) -> bool:
        """Whether `actor`, who has `email` too, is one of the `authors` (names or e-mail addresses)."""
        person = self.people.get(actor)
        names = {actor, *(person.emails if person else ()), *([email] if email else ())}
        return bool({name.casefold() for name in names} & {author.casefold() for author in authors})

    def _still(self, login: Login, said: Statement) -> bool:
        issuer = self.issuers.get(login.issuer)
        if issuer is None or issuer.issuer != login.url:
            return False
        if login.keyid in issuer.revoked or login.subject in issuer.locked:
            return False
        kept = {role: told for role, told in login.granted.items() if _told(issuer, role) == told}
        now = msgspec.structs.replace(login, granted=kept)
        try:
            return self.speaker(now) == said.actor and said.role in self.roles(now)
        except ContractError:
            return False

    def _owner(self, keyid: str) -> tuple[str, PublicKey]:
        for name, person in self.people.items():
            if keyid in person.trusted:
                return name, person.trusted[keyid]
        raise IntegrityError(
            "signature-invalid",
            f"the statement is signed by the key {keyid[:12]}, which is nobody's, or revoked",
            "enrol the person with `roadbed enroll`, or sign with the key that is enrolled",
        )


def load_identities(home: Home) -> Identities:
    """The identities of an installation; nobody when there is no file. Raises DeclarationError if it cannot be understood."""
    import yaml

    path, issuers = identities_path(home), load_issuers(home)
    if not path.exists():
        return Identities({}, issuers)
    try:
        document: Any = yaml.safe_load(path.read_text()) or {}
        return Identities(msgspec.convert(document, dict[str, Identity]), issuers)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise DeclarationError(
            "declaration-invalid",
            f"{path.name} cannot be understood: {error}",
            "each name has roles, and may have keys (PEM), logins, emails and revoked; nothing else",
        ) from error


def save_identities(home: Home, identities: Identities) -> None:
    """Write the file, readable by its owner alone."""
    import yaml

    text = yaml.safe_dump(msgspec.to_builtins(identities.people), sort_keys=True)
    home.authority.mkdir(parents=True, exist_ok=True)
    write_atomic(identities_path(home), text.encode(), mode=0o600)


def identities_path(home: Home) -> Path:
    """Where the identities of an installation are kept."""
    return home.authority / "identities.yaml"


def _is(name: str, person: Identity, login: Login) -> bool:
    addresses = {address.casefold() for address in (name, *person.emails)}
    return login.name in person.logins or (login.email is not None and login.email in addresses)


def _told(issuer: Issuer, role: str) -> str | None:
    return issuer.roles[role].told if role in issuer.roles else None


def _signer(envelope: bytes) -> str:
    try:
        signatures = msgspec.json.decode(envelope, type=Envelope).signatures
    except msgspec.DecodeError as error:
        raise _refused(f"it is no signed envelope ({error})") from error
    if len(signatures) != 1:
        raise _refused(f"it carries {len(signatures)} signatures instead of one")
    return signatures[0].keyid


def _refused(why: str) -> ContractError:
    return ContractError(
        "request-invalid", f"the statement is refused: {why}", "sign it as yourself, in a role you hold"
    )
