"""Policy: what a platform team asks for in an environment, as data that teams cannot change.

Mandatory gates always run with the policy's own numbers; what a team declares comes on top and can only ask for more. An
installation may bring its own (`authority/policies/<environment>.yaml`); the ones in this package are for those that do not.

    environment: prod
    version: 3
    gates: [...]
    approvals:
      - {roles: [reviewer], count: 1}
    waivers:
      - {gates: [latency_budget], roles: [platform], at_most_days: 14}
    freezes:
      - {start: 2013-12-20T00:00:00Z, end: 2014-01-02T00:00:00Z, reason: holidays}
"""

from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from formats.canonical import digest_of
from formats.errors import DeclarationError
from formats.home import Home
from formats.task import Task
from platform_assets.promotion.spec import AnyGate


class ApprovalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`count` people, each holding one of `roles`, must approve. Nobody approves what they made."""

    roles: tuple[str, ...]
    count: int = 1


class WaiverRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who holds one of `roles` may waive one of `gates` for one digest, for at most so many days."""

    gates: tuple[str, ...]
    roles: tuple[str, ...]
    at_most_days: int


class Freeze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing new is released in [start, end), by the installation's clock; going back is always possible."""

    start: datetime
    end: datetime
    reason: str


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `environment` asks for. `version` is for people; decisions record the digest.

    Of the gates those count for a model whose metric its task has (`gates_for`). An approval counts for `approval_days`. `after`
    names the environment in which a bundle must have been live before. Without `declared_gates` a team's own gates are not asked
    for here.
    """

    environment: str
    version: int
    gates: tuple[AnyGate, ...]
    approvals: tuple[ApprovalRule, ...] = ()
    waivers: tuple[WaiverRule, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    approval_days: int = 30
    after: str | None = None
    declared_gates: bool = True

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the policy's content."""
        return digest_of(msgspec.to_builtins(self))

    def gates_for(self, task: Task) -> tuple[AnyGate, ...]:
        """The gates that a model of `task` can be asked: a metric belongs to tasks, and a policy asks one of each."""
        return tuple(gate for gate in self.gates if gate.applies_to(task))

    def frozen(self, now: datetime) -> Freeze | None:
        """The freeze that `now` lies in; the last to end, when there are several."""
        found = [freeze for freeze in self.freezes if freeze.start <= now < freeze.end]
        return max(found, key=lambda freeze: freeze.end, default=None)


def installed_policy(environment: str, home: Home) -> Policy:
    """The policy of `environment` as its file says now, the installation's own or the package's.

    Raises DeclarationError if there is none or it cannot be understood.
    """
    path = home.authority / "policies" / f"{environment}.yaml"
    if Path(environment).name == environment and path.is_file():
        return _named(environment, parse_policy(path.read_text()))
    return load_policy(environment)


@cache
def load_policy(environment: str) -> Policy:
    """The package's policy of `environment`. Raises DeclarationError if there is none or it cannot be understood."""
    known = {path.name: path for path in (resources.files("platform_assets.promotion") / "policies").iterdir()}
    path = known.get(f"{environment}.yaml")
    if path is None:
        raise DeclarationError(
            "declaration-invalid",
            f"there is no policy for the environment {environment!r}; there are {sorted(known)}",
            f"ask the platform team for platform_assets/promotion/policies/{environment}.yaml",
        )
    return _named(environment, parse_policy(path.read_text()))


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
    names = [gate.name for gate in policy.gates]
    if len(set(names)) < len(names):
        raise _invalid(f"two gates have one name: {sorted({name for name in names if names.count(name) > 1})}")
    if any(freeze.start.tzinfo is None or freeze.end.tzinfo is None for freeze in policy.freezes):
        raise _invalid("a freeze has a time without zone; write for example 2013-12-20T00:00:00Z")
    return policy


def _named(environment: str, policy: Policy) -> Policy:
    if policy.environment != environment:
        raise _invalid(f"{environment}.yaml is written for the environment {policy.environment!r}")
    return policy


def _invalid(message: str) -> DeclarationError:
    return DeclarationError(
        "declaration-invalid",
        message,
        "correct the file in platform_assets/promotion/policies; unknown keys are refused",
    )
