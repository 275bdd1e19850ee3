"""A person's token, from their issuer: in the variable ROADBED_TOKEN, or in the file that ROADBED_TOKEN_FILE names.

Never an argument: those are shown to every user of the machine.
"""

import os
from pathlib import Path

from formats.errors import PromotionError

VARIABLE = "ROADBED_TOKEN"
FILE_VARIABLE = "ROADBED_TOKEN_FILE"


def person_token() -> str | None:
    """The token, if one was given. Raises PromotionError (`token-refused`) if the file cannot be read or is empty."""
    if token := os.environ.get(VARIABLE, "").strip():
        return token
    named = os.environ.get(FILE_VARIABLE)
    if not named:
        return None
    try:
        token = Path(named).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unread(named, str(error)) from error
    if not token:
        raise _unread(named, "it is empty")
    return token


def _unread(path: str, why: str) -> PromotionError:
    return PromotionError(
        "token-refused",
        f"the token cannot be read from {path}: {why}",
        f"let {FILE_VARIABLE} name the file that your issuer's tool wrote, or put the token into {VARIABLE}",
    )
