"""A person's word enters the ledger: checked here, so that what could never count is refused at once and with its reason."""

from datetime import timedelta

import msgspec

from formats.errors import ContractError, PromotionError
from platform_assets.promotion.candidate import candidate_of, newest_candidate
from platform_assets.promotion.desk import Check, Desk
from platform_assets.promotion.erasers import require_eraser
from platform_assets.promotion.force import policy_in_force
from platform_assets.promotion.identity import Identities, load_identities
from platform_assets.promotion.issue import environment_of, model_of
from platform_assets.promotion.login import Login
from platform_assets.promotion.messages import Said, Say, Speak
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.policy import installed_policy
from platform_assets.promotion.standing import waivable
from platform_assets.promotion.statement import ERASURE_SUBJECT, POLICY_SUBJECT, Recorded, Statement, statement_digest
from platform_assets.promotion.tokens import login_of
from resources.ledger import Draft

_SKEW = timedelta(hours=1)


def say(desk: Desk, request: Say) -> Said:
    """Record a statement; the same one sent again is the entry that exists.

    Raises:
        IntegrityError: nobody who is enrolled signed it.
        ContractError: it is unclear, out of date, or in a name or role that is not the signer's.
        PromotionError: it is about nothing that waits, about one's own work, or a waiver that the policy does not allow.
    """
    identities = load_identities(desk.home)
    statement, keyid = identities.opened(request.envelope.encode())
    return _recorded(desk, identities, Recorded(statement=statement, keyid=keyid, envelope=request.envelope))


def speak(desk: Desk, request: Speak) -> Said:
    """Record a word that came with its speaker's token, in the name and a role that the token gives.

    Raises:
        IntegrityError: the token does not count.
        HostError: its issuer's keys cannot be had.
        ContractError: it is unclear, out of date, or in a name or role that is not the speaker's.
        PromotionError: as `say`, or the token said something else already.
    """
    identities, login = load_identities(desk.home), login_of(desk.home, request.token or "")
    actor = identities.speaker(login)
    fields = msgspec.structs.asdict(request.word)
    statement = Statement(**fields, actor=actor, role=_role(actor, identities.roles(login), request.role))
    return _recorded(desk, identities, Recorded(statement=statement, keyid=login.keyid, login=login))


def _role(actor: str, held: frozenset[str], asked: str | None) -> str:
    role = asked or (min(held) if len(held) == 1 else None)
    if role is None or role not in held:
        wanted = f"no {role}, but " if role else ""
        raise ContractError(
            "request-invalid",
            f"by this token {actor} is {wanted}{' and '.join(sorted(held)) or 'nothing'}",
            "say with --role in which role you speak; claims give roles by issuers.yaml, logins by identities.yaml",
        )
    return role


def _recorded(desk: Desk, identities: Identities, body: Recorded) -> Said:
    statement = body.statement
    _require_recent(desk, statement)
    if statement.endpoint.startswith(ERASURE_SUBJECT):
        require_eraser(desk.home, statement)
    elif statement.endpoint.startswith(POLICY_SUBJECT):
        _require_policy(desk, statement)
    else:
        authors = _require_candidate(desk, statement)
        email = body.login.email if body.login else None
        if statement.verb != "reject" and identities.wrote(statement.actor, authors, email):
            raise PromotionError(
                "approval-own",
                f"{statement.actor} made {statement.subject[:19]}, and nobody approves or waives for their own work",
                "ask somebody else who holds the role",
            )
        if statement.verb == "waive":
            _require_waivable(desk, statement)
    inputs = {"endpoint": statement.endpoint, "actor": statement.actor, "statement": statement_digest(statement)}
    draft = Draft("statement", statement.subject, inputs, msgspec.to_builtins(body))
    entry = desk.append([draft], statement.actor, _unused(identities, body.login))[0]
    return Said(entry=entry.id, statement=statement)


def _unused(identities: Identities, login: Login | None) -> Check:
    """A check that the token has said nothing else."""

    def check(pointers: Pointers) -> None:
        if login is not None and identities.issuers[login.issuer].once and login.used in pointers.used_tokens:
            raise PromotionError(
                "token-refused",
                f"the token of {login.told} has been used for another word, and one token carries one",
                "get a new token for each word; the issuer's `once` in issuers.yaml says so",
            )

    return check


def _require_recent(desk: Desk, statement: Statement) -> None:
    if abs(desk.now - statement.at) > _SKEW or statement.expires_at <= desk.now:
        raise ContractError(
            "request-invalid",
            f"the statement was given at {statement.at.isoformat()} until {statement.expires_at.isoformat()}; "
            f"by the installation's clock it is {desk.now.isoformat()}",
            "say it again now",
        )


def _require_policy(desk: Desk, statement: Statement) -> None:
    installed = installed_policy(statement.endpoint.removeprefix(POLICY_SUBJECT), desk.home)
    if installed.digest != statement.subject or statement.verb == "waive":
        raise PromotionError(
            "candidate-refused",
            f"{statement.subject[:19]} is not the policy that is installed for {installed.environment}, {installed.digest[:19]}",
            "look at the policy's file again, and approve or reject what it says now",
        )


def _require_candidate(desk: Desk, statement: Statement) -> tuple[str, ...]:
    model = model_of(statement.endpoint, environment_of(statement.endpoint))
    entry = newest_candidate(desk.ledger, statement.subject, model)
    if entry is None:
        raise PromotionError(
            "candidate-refused",
            f"nobody proposed bundle {statement.subject} as a candidate for {model}",
            "`roadbed status` lists what waits for a word",
        )
    return candidate_of(entry).authors


def _require_waivable(desk: Desk, statement: Statement) -> None:
    environment = environment_of(statement.endpoint)
    policy, _ = policy_in_force(desk, environment)
    if not waivable(statement, policy):
        rules = [f"{'/'.join(r.gates)} by {'/'.join(r.roles)} for {r.at_most_days} days" for r in policy.waivers]
        raise PromotionError(
            "waiver-not-allowed",
            f"the policy of {environment} does not let a {statement.role} waive {statement.gate} until "
            f"{statement.expires_at.isoformat()}; it allows {'; '.join(rules) or 'no waivers'}",
            "ask for a shorter waiver, or the role that may give it; else the gate must be met",
        )
