"""Policy: the gates that a platform team makes mandatory for an environment, as data that teams cannot change.

Mandatory gates always run with the policy's own numbers; what a team declares comes on top and can only ask for more.
"""

from functools import cache
from importlib import resources
from typing import Any

import msgspec

from formats.canonical import digest_of
from formats.errors import DeclarationError
from platform_assets.promotion.spec import AnyGate


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mandatory gates of `environment`. `version` is for people; decisions record the digest."""

    environment: str
    version: int
    gates: tuple[AnyGate, ...]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the policy's content."""
        return digest_of(msgspec.to_builtins(self))


@cache
def load_policy(environment: str) -> Policy:
    """The installed policy of `environment`. Raises DeclarationError if there is none or it cannot be understood."""
    known = {path.name: path for path in (resources.files("platform_assets.promotion") / "policies").iterdir()}
    path = known.get(f"{environment}.yaml")
    if path is None:
        raise DeclarationError(
            "declaration-invalid",
            f"there is no policy for the environment {environment!r}; there are {sorted(known)}",
            f"ask the platform team for platform_assets/promotion/policies/{environment}.yaml",
        )
    policy = parse_policy(path.read_text())
    if policy.environment != environment:
        raise _invalid(f"{environment}.yaml is written for the environment {policy.environment!r}")
    return policy


def parse_policy(text: str) -> Policy:
    """The policy in YAML. Raises DeclarationError on unknown keys, wrong types, no gates or severity below `block`."""
    import yaml

    try:
        document: Any = yaml.safe_load(text)
        policy = msgspec.convert(document, Policy)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise _invalid(f"the policy cannot be understood: {error}") from error
    lax = [gate.name for gate in policy.gates if gate.severity != "block"]
    if lax or not policy.gates:
        raise _invalid(f"mandatory gates must exist and block; these only warn: {lax}")
    return policy


def _invalid(message: str) -> DeclarationError:
    return DeclarationError(
        "declaration-invalid",
        message,
        "correct the file in platform_assets/promotion/policies; unknown keys are refused",
    )
