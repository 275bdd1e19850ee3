"""Gates and policies as data: names, refusals, and the way to YAML and the ledger and back."""

import msgspec
import pytest

from formats.errors import DeclarationError
from platform_assets.promotion.policy import load_policy, parse_policy
from platform_assets.promotion.spec import (
    AnyGate,
    BetterThanBaseline,
    BetterThanChampion,
    LatencyBudget,
    MetricCeiling,
    MetricFloor,
    SignatureEqualsContract,
    WorstSlice,
)

GATES: tuple[AnyGate, ...] = (
    MetricFloor(metric="auc", minimum=0.7, reason="because"),
    MetricCeiling(metric="brier", maximum=0.2),
    BetterThanBaseline(baseline="group_rate", by=("carrier", "hour"), margin=0.02),
    BetterThanChampion(metric="log_loss", margin=-0.01, severity="warn"),
    SignatureEqualsContract(name="the_form"),
)


def test_names_are_derived_from_what_is_asked() -> None:
    names = ["auc_floor", "brier_ceiling", "auc_better_than_group_rate", "log_loss_better_than_champion", "the_form"]
    assert [gate.name for gate in GATES] == names


def test_gates_survive_the_ledger() -> None:
    plain = msgspec.json.decode(msgspec.json.encode(GATES))
    assert msgspec.convert(plain, tuple[AnyGate, ...]) == GATES


def test_a_bound_without_a_point_is_written_as_it_is_read_back() -> None:
    """A candidate's id is made of how its gates are written."""
    gates: tuple[AnyGate, ...] = (LatencyBudget(p99_ms=5), WorstSlice(by=("hour",), minimum=0, min_rows=30))
    written = msgspec.json.encode(gates)
    assert msgspec.json.encode(msgspec.json.decode(written, type=tuple[AnyGate, ...])) == written
    assert b'"min_rows":30,' in written


@pytest.mark.parametrize(
    "declare",
    [
        lambda: MetricFloor(minimum=0.5, name="No Spaces"),
        lambda: BetterThanBaseline(baseline="group_rate"),
        lambda: BetterThanBaseline(baseline="base_rate", by=("carrier",)),
        lambda: BetterThanChampion(confidence=1.0),
        lambda: BetterThanChampion(confidence=0.4),
    ],
)
def test_contradictions_are_refused(declare: object) -> None:
    with pytest.raises(DeclarationError):
        declare()  # type: ignore[operator]


@pytest.mark.parametrize("environment", ["prod", "staging"])
def test_the_installed_policies_can_be_read(environment: str) -> None:
    policy = load_policy(environment)
    assert policy.environment == environment
    assert policy.digest.startswith("sha256:")


def test_production_asks_for_each_kind_of_evidence() -> None:
    kinds = {gate.kind for gate in load_policy("prod").gates}
    assert kinds >= {"signature_equals_contract", "provenance_complete", "framework_parity", "latency_budget"}
    assert kinds >= {"metric_floor", "better_than_baseline", "better_than_champion"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("environment: prod\nversion: 1\ngates:\n- {gate: metric_floor, minimum: 0.5, minimun: 0.9}", "minimun"),
        ("environment: prod\nversion: 1\ngates:\n- {gate: metric_floor, minimum: high}", "float"),
        ("environment: prod\nversion: 1\ngates:\n- {gate: coin_toss}", "coin_toss"),
        ("environment: prod\nversion: 1\ngates: []", "must exist"),
        ("environment: prod\nversion: 1\ngates:\n- {gate: metric_floor, minimum: 0.5, severity: warn}", "auc_floor"),
        ("environment: prod\nversion: 1\nwaive: all\ngates: []", "waive"),
        ("{", "understood"),
    ],
)
def test_a_policy_that_is_unclear_is_refused(text: str, why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        parse_policy(text)


def test_an_environment_without_policy_is_refused() -> None:
    with pytest.raises(DeclarationError, match="no policy"):
        load_policy("../prod")
