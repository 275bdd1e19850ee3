"""People with keys and roles, for tests of approvals."""

from datetime import timedelta
from typing import Any

from formats.home import Home
from formats.signing import PrivateKey, new_private_key, public_pem
from platform_assets.promotion.identity import Identities, Identity, load_identities, save_identities
from platform_assets.promotion.statement import Statement, Verb, sign_statement
from tests.support.promotion_case import CUTOFF, ENDPOINT

AT = CUTOFF + timedelta(days=40)


class Person:
    """Somebody who is enrolled in an installation."""

    def __init__(self, home: Home, name: str, *roles: str, emails: tuple[str, ...] = ()) -> None:
        self.name, self.roles, self.key = name, roles, new_private_key()
        pem = public_pem(self.key.public_key()).decode()
        people = load_identities(home).people
        save_identities(home, Identities({**people, name: Identity(roles=roles, keys=(pem,), emails=emails)}))

    def says(self, verb: Verb, subject: str, *, key: PrivateKey | None = None, **changes: Any) -> bytes:
        """A signed statement about `subject`."""
        fields: dict[str, Any] = {
            "verb": verb,
            "actor": self.name,
            "role": self.roles[0],
            "subject": subject,
            "endpoint": ENDPOINT,
            "reason": "looked at it",
            "at": AT,
            "expires_at": AT + timedelta(days=7),
            **changes,
        }
        return sign_statement(Statement(**fields), key or self.key)
