"""Who may have keys erased: `erasure.yaml` in the authority's folder. Without it, whoever holds the role `privacy`.

roles: [privacy, platform]
"""

from typing import Annotated

import msgspec

from formats.errors import PromotionError
from formats.home import Home
from platform_assets.promotion.statement import Statement
from resources.settings_file import read_settings_file

_FILE = "erasure.yaml"

Role = Annotated[str, msgspec.Meta(min_length=1)]


class ErasurePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file: `roles` whose word counts."""

    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)] = ("privacy",)


def require_eraser(home: Home, statement: Statement) -> None:
    """Raise PromotionError unless the statement's role may have keys erased; DeclarationError if the file cannot be understood."""
    path = home.authority / _FILE
    policy = read_settings_file(
        path, ErasurePolicy, "it has a list of roles, such as `roles: [privacy]`, and nothing else"
    )
    if statement.role not in policy.roles:
        raise PromotionError(
            "erasure-not-allowed",
            f"a {statement.role} may not {statement.verb} keys; {' and '.join(policy.roles)} may",
            f"ask somebody who holds the role; whoever runs the platform changes it in {_FILE} of the authority's folder",
        )
