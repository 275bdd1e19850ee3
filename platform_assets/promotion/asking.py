"""Who asks, when a person's token comes with a request that is no word of theirs: a rollback, the lifting of a bar."""

from formats.home import Home
from platform_assets.promotion.identity import load_identities
from platform_assets.promotion.tokens import login_of


def asked_by(home: Home, token: str) -> str:
    """The actor for the ledger, `<issuer>:<name>`: an issuer vouched for the name, which nobody can claim of themselves.

    Raises what `login_of` raises, and ContractError for a token of nobody who is known.
    """
    login = login_of(home, token)
    return f"{login.issuer}:{load_identities(home).speaker(login)}"
