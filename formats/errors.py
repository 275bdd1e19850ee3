"""Every error that Roadbed raises on purpose.

RoadbedError
├── DeclarationError    a team's declarations contradict themselves or each other
├── ContractError       data or a request breaks its contract
├── IntegrityError      bytes are not what their digest or signature says
├── DataError           data is missing, late or cannot be stored
├── ReleaseError        a release document is absent, expired, out of order or for someone else
├── LedgerError         the ledger is damaged or out of reach, or two writers collide
├── TrainingError       examples that nothing can be learnt from, or a training that went astray
├── PromotionError      the authority refuses, or the champion moved meanwhile
├── EndpointError       an endpoint does not come up, keep up, or exist
└── HostError           this machine cannot run what was asked (port, disk, home)

Each carries a stable code, what happened (object, rule, both values), a hint that says what to do next, and the page
of the runbook: docs/troubleshooting.md has one heading a code, and a test holds that it does.
"""

from typing import Literal, get_args

ErrorCode = Literal[
    "declaration-invalid",
    "contract-breach",
    "contract-breaking",
    "contract-disabled",
    "contract-invalid",
    "request-invalid",
    "digest-mismatch",
    "bundle-invalid",
    "signature-invalid",
    "data-missing",
    "data-not-arrived",
    "source-unavailable",
    "data-conflict",
    "split-empty",
    "examples-unfit",
    "training-diverged",
    "search-running",
    "search-interrupted",
    "feature-missing",
    "features-gone",
    "storage-unavailable",
    "storage-refused",
    "online-store-unavailable",
    "online-store-refused",
    "release-missing",
    "release-expired",
    "release-out-of-order",
    "release-wrong-endpoint",
    "transition-forbidden",
    "ledger-corrupt",
    "ledger-conflict",
    "ledger-unavailable",
    "authority-unavailable",
    "caller-unknown",
    "token-refused",
    "issuer-unavailable",
    "candidate-refused",
    "approval-own",
    "waiver-not-allowed",
    "waiver-expired",
    "erasure-not-allowed",
    "erasure-unfinished",
    "champion-moved",
    "digest-barred",
    "endpoint-unstable",
    "endpoint-crash-loop",
    "endpoint-overloaded",
    "deadline-exceeded",
    "key-unknown",
    "key-not-allowed",
    "rate-limited",
    "keys-unusable",
    "endpoint-not-found",
    "endpoint-asleep",
    "runtime-not-running",
    "prediction-not-found",
    "clock-backwards",
    "statement-refused",
    "view-failed",
    "view-looks-ahead",
    "home-unusable",
    "port-in-use",
    "disk-full",
]

ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)


class RoadbedError(Exception):
    """Base of the tree: a code, a message and what to do next."""

    def __init__(self, code: ErrorCode, message: str, hint: str) -> None:
        self.code: ErrorCode = code
        self.message = message
        self.hint = hint
        super().__init__(f"[{code}] {message}\n  next: {hint}\n  runbook: {self.runbook}")

    def __reduce__(self) -> tuple[type["RoadbedError"], tuple[ErrorCode, str, str]]:
        return type(self), (self.code, self.message, self.hint)

    @property
    def runbook(self) -> str:
        """The page that explains this code."""
        return f"docs/troubleshooting.md#{self.code}"


class DeclarationError(RoadbedError):
    """A team's declarations contradict themselves or each other."""


class ContractError(RoadbedError):
    """Data or a request breaks its contract."""


class IntegrityError(RoadbedError):
    """Bytes are not what their digest or signature says."""


class DataError(RoadbedError):
    """Data is missing, late or cannot be stored."""


class ReleaseError(RoadbedError):
    """A release document is absent, expired, out of order or for someone else."""


class LedgerError(RoadbedError):
    """The ledger is damaged or out of reach, or two writers collide."""


class TrainingError(RoadbedError):
    """Examples that nothing can be learnt from, or a training that went astray."""


class PromotionError(RoadbedError):
    """The authority refuses, or the champion moved meanwhile."""


class EndpointError(RoadbedError):
    """An endpoint does not come up, keep up, or exist."""


class HostError(RoadbedError):
    """This machine cannot run what was asked."""
