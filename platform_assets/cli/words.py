"""What `roadbed approve`, `reject` and `waive` share: the digest that waits, the person's key, the signed statement handed in."""

import getpass
import os
from datetime import timedelta
from pathlib import Path

import msgspec

from formats.errors import PromotionError
from formats.signing import PrivateKey, load_private_key
from platform_assets.cli.person_token import person_token
from platform_assets.cli.site import find_site
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.issue import environment_of, model_of
from platform_assets.promotion.live import pointers
from platform_assets.promotion.messages import Said
from platform_assets.promotion.policy import installed_policy
from platform_assets.promotion.sensors import newest_evaluated
from platform_assets.promotion.service_client import authority_of
from platform_assets.promotion.statement import POLICY_SUBJECT, Statement, Verb, Word, sign_statement
from resources.installation import Installation, installation_at

KEY_VARIABLE = "ROADBED_KEY"


def key_path(actor: str) -> Path:
    """Where a person's private key lies: what ROADBED_KEY names, or `~/.config/roadbed/<name>.pem`; never in the installation."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else Path.home() / ".config" / "roadbed" / f"{actor}.pem"


def say(
    verb: Verb,
    subject: str,
    *,
    reason: str,
    days: float | None,
    actor: str | None,
    role: str | None,
    digest: str | None = None,
    gate: str | None = None,
) -> Said:
    """Say something about what waits at `subject` (an endpoint, or `policy/<environment>`): signed, or with an issuer's token."""
    site = find_site(None)
    installation, token = installation_at(site.home), person_token()
    if token is not None and actor is not None:
        raise PromotionError("token-refused", f"the token says who speaks, and {actor} cannot", "leave out --as")
    now = installation.clock.now()
    word = Word(
        verb=verb,
        subject=digest or _waiting(installation, subject),
        endpoint=subject,
        reason=reason,
        at=now,
        expires_at=now + timedelta(days=_days(installation, subject) if days is None else days),
        gate=gate,
    )
    if token is not None:
        return authority_of(site.home, token).speak(word, role=role)
    name = actor or getpass.getuser()
    fields = msgspec.structs.asdict(word)
    statement = Statement(**fields, actor=name, role=role or _only_role(installation, name))
    return authority_of(site.home).say(sign_statement(statement, _key(name)), actor=name)


def told(said: Said) -> str:
    """The statement in a line."""
    word = said.statement
    gate = f" of {word.gate}" if word.gate else ""
    until = word.expires_at.isoformat()
    return f"{word.verb:<8} {word.subject}{gate} at {word.endpoint}, by {word.actor} ({word.role}) until {until}"


def _waiting(installation: Installation, subject: str) -> str:
    if subject.startswith(POLICY_SUBJECT):
        return installed_policy(subject.removeprefix(POLICY_SUBJECT), installation.home).digest
    model = model_of(subject, environment_of(subject))
    newest = newest_evaluated(installation, model)
    champion = pointers(installation).champion(subject)
    if newest is None or (champion is not None and champion.bundle == newest):
        raise PromotionError(
            "candidate-refused",
            f"no evaluated candidate waits at {subject}",
            "name one with --bundle, or evaluate one first",
        )
    return newest


def _days(installation: Installation, subject: str) -> int:
    policy = subject.startswith(POLICY_SUBJECT)
    environment = subject.removeprefix(POLICY_SUBJECT) if policy else environment_of(subject)
    return installed_policy(environment, installation.home).approval_days


def _only_role(installation: Installation, name: str) -> str:
    person = load_identities(installation.home).people.get(name)
    roles = person.roles if person else ()
    if len(roles) != 1:
        raise PromotionError(
            "candidate-refused",
            f"{name} is {'nobody who is enrolled' if person is None else ' and '.join(roles)}",
            "enrol with `roadbed enroll`; with several roles, say in which one you speak: --role",
        )
    return roles[0]


def _key(name: str) -> PrivateKey:
    path = key_path(name)
    try:
        return load_private_key(path.read_bytes())
    except OSError as error:
        raise PromotionError(
            "authority-unavailable",
            f"the private key of {name} cannot be read: {error}",
            f"`roadbed enroll {name} --role ...` makes one; {KEY_VARIABLE} names another file",
        ) from error
