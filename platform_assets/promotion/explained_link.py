"""One link of an explanation, and how instants and spans are told in it."""

from datetime import datetime

import msgspec


class Link(msgspec.Struct, frozen=True):
    """One link of the chain: what it is, facts about it, and whether it was found to be true (None: nothing to verify)."""

    what: str
    facts: dict[str, str]
    verified: bool | None = None
    note: str = ""


def short(digest: str) -> str:
    """`sha256:` and twelve digits: what tables show."""
    return digest[:19]


def instant(moment: datetime) -> str:
    """To the second, with its time zone."""
    return moment.isoformat(timespec="seconds")


def span(seconds: float) -> str:
    """Hours up to two days, then days."""
    hours = seconds / 3600
    return f"{hours:.1f} hours" if abs(hours) < 48 else f"{hours / 24:.1f} days"
