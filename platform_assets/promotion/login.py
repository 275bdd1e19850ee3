"""What a verified token said about who speaks. It stands in the ledger with the word; the token itself is kept nowhere."""

from datetime import datetime

import msgspec


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`issuer` by its name here and `url`; `subject`, and `email` if the issuer verified it; `keyid` signed the token.

    `granted`: each role that the issuer's claims gave, and by which claim. `used` is the digest of what was signed, by which a
    token is known again; `until` is when it ended.
    """

    issuer: str
    url: str
    subject: str
    keyid: str
    used: str
    until: datetime
    email: str | None = None
    granted: dict[str, str] = {}

    @property
    def name(self) -> str:
        """How identities.yaml lists it among a person's logins."""
        return f"{self.issuer}:{self.subject}"

    @property
    def told(self) -> str:
        """Who and by whom, for a reader."""
        return f"{self.email or self.subject} by {self.url}"
