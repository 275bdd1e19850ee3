"""Decisions and releases from approval to rollback, in this process; the authority's own process is tested in integration."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from formats.clock import advance_clock
from formats.errors import ContractError, EndpointError, PromotionError, ReleaseError
from formats.release import read_release
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.lifecycle import lift, live, renew, rolling
from platform_assets.promotion.messages import Decide, Decided, Fail, Issued, Lift, Live, Renew, Rollback, Rolling
from platform_assets.promotion.pointers import Pointers
from platform_assets.promotion.retreat import fail, rollback
from platform_assets.promotion.spec import MetricFloor
from tests.support.promotion_case import BETTER, CUTOFF, ENDPOINT, FINGERPRINT, GOOD, POOR, World, go_live, server

THIRD = (1.4, -1.0)
WARN = MetricFloor(minimum=0.999, severity="warn")


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    initialise(found.home)
    return found


def asked(world: World, bundle: str, endpoint: str = ENDPOINT, environment: str = "prod") -> Decided:
    request = Decide(bundle=bundle, environment=environment, endpoint=endpoint, actor="test")
    return decide(Desk(world.home), request)


def approved(world: World, bundle: str) -> Issued:
    decided = asked(world, bundle)
    assert decided.issued is not None, decided.reasons
    return decided.issued


def released(world: World, weights: tuple[float, float], **changes: Any) -> Issued:
    """A candidate that went live."""
    bundle = world.propose(weights, **changes)
    issued = approved(world, bundle)
    go_live(world, issued.release, bundle)
    return issued


def pointers(world: World) -> Pointers:
    return Desk(world.home).pointers


def kinds(world: World) -> list[str]:
    return [f"{entry.kind} {entry.inputs.get('state', '')}".strip() for entry in world.ledger.entries()]


def test_an_approved_candidate_gets_a_document_that_a_server_accepts(world: World) -> None:
    advance_clock(world.home.clock, CUTOFF)
    bundle = world.propose()
    issued = approved(world, bundle)
    desk = Desk(world.home)
    document = read_release(issued.envelope.encode(), desk.trusted, endpoint=ENDPOINT, now=CUTOFF)
    assert (document.bundle, document.sequence, document.release) == (bundle, 1, issued.release)
    assert document.expires_at == CUTOFF + timedelta(days=30)
    assert (world.home.root / "releases" / ENDPOINT / "1.json").read_text() == issued.envelope
    assert kinds(world) == ["candidate", "policy", "decision", "release approved"]


def test_asking_again_changes_nothing(world: World) -> None:
    bundle = world.propose()
    first, again = asked(world, bundle), asked(world, bundle)
    assert first == again
    assert len(kinds(world)) == 4


def test_a_refused_candidate_is_a_fact_with_reasons(world: World) -> None:
    bundle = world.propose(POOR)
    decided = asked(world, bundle)
    assert (decided.verdict, decided.issued) == ("refused", None)
    assert any(reason.startswith("auc_floor (policy)") for reason in decided.reasons)
    assert asked(world, bundle) == decided
    assert kinds(world) == ["candidate", "policy", "decision"]


def test_declared_gates_are_evaluated_as_well(world: World) -> None:
    decided = asked(world, world.propose(gates=(MetricFloor(name="high", minimum=0.99), WARN)))
    assert [reason.split(":")[0] for reason in decided.reasons] == ["high (declared)"]
    assert {result.origin for result in decided.results} == {"policy", "declared"}


def test_the_endpoint_must_be_of_the_environment_and_the_model(world: World) -> None:
    bundle = world.propose()
    for endpoint in (ENDPOINT.replace("prod", "staging"), "aviation/../prod/endpoint", "nonsense"):
        with pytest.raises(ContractError):
            asked(world, bundle, endpoint)
    with pytest.raises(PromotionError, match="nobody proposed"):
        asked(world, bundle, "aviation/other/prod/endpoint")


def test_live_needs_the_server_s_own_word(world: World) -> None:
    bundle = world.propose()
    issued = approved(world, bundle)
    with pytest.raises(ReleaseError, match="approved and cannot become live"):
        go_live_without_rolling(world, issued)
    rolling(Desk(world.home), Rolling(release=issued.release))
    request = Live(release=issued.release, observed=bundle)
    (world.home.endpoint(ENDPOINT) / "observed.json").unlink()
    with pytest.raises(EndpointError, match=r"observed\.json"):
        live(Desk(world.home), request)
    with server({"release": issued.release, "bundle": "sha256:other"}) as port:
        world.serve(issued.release, bundle, port)
        with pytest.raises(EndpointError, match="/readyz names"):
            live(Desk(world.home), request)
        world.serve(issued.release, bundle, port, stable=False)
        with pytest.raises(EndpointError, match="not stable"):
            live(Desk(world.home), request)
    world.serve(issued.release, bundle, port)
    with pytest.raises(EndpointError, match="cannot be asked"):
        live(Desk(world.home), request)
    with pytest.raises(PromotionError, match="observed was"):
        live(Desk(world.home), Live(release=issued.release, observed="sha256:other"))
    assert pointers(world).champion(ENDPOINT) is None


def go_live_without_rolling(world: World, issued: Issued) -> None:
    with server({"release": issued.release, "bundle": issued.bundle}) as port:
        world.serve(issued.release, issued.bundle, port)
        live(Desk(world.home), Live(release=issued.release, observed=issued.bundle))


def test_the_next_champion_supersedes_the_last(world: World) -> None:
    first, second = released(world, GOOD), released(world, BETTER)
    found = pointers(world)
    assert [release.state for release in found.releases(ENDPOINT)] == ["superseded", "live"]
    champion = found.champion(ENDPOINT)
    assert champion is not None
    assert (champion.release, champion.approval.champion, champion.approval.previous) == (
        second.release,
        first.release,
        first.release,
    )
    assert found.next_sequence(ENDPOINT) == 3


def test_every_step_may_be_repeated(world: World) -> None:
    issued = released(world, GOOD)
    before = kinds(world)
    assert rolling(Desk(world.home), Rolling(release=issued.release)).state == "live"
    assert live(Desk(world.home), Live(release=issued.release, observed=issued.bundle)).state == "live"
    assert kinds(world) == before


def test_a_live_bundle_is_not_decided_again(world: World) -> None:
    issued = released(world, GOOD)
    with pytest.raises(PromotionError, match="live already"):
        asked(world, issued.bundle)


def test_a_waiting_release_is_superseded_by_a_newer_one(world: World) -> None:
    first = approved(world, world.propose(GOOD))
    approved(world, world.propose(BETTER))
    assert [release.state for release in pointers(world).releases(ENDPOINT)] == ["superseded", "approved"]
    with pytest.raises(ReleaseError, match="superseded and cannot become rolling"):
        rolling(Desk(world.home), Rolling(release=first.release))


def test_a_much_worse_candidate_is_refused_against_the_champion(world: World) -> None:
    released(world, GOOD)
    decided = asked(world, world.propose((0.5, -1.0)))
    assert [reason.split(" ")[0] for reason in decided.reasons] == ["auc_better_than_champion"]


def test_a_failed_rollout_bars_the_bundle_and_releases_the_champion_anew(world: World) -> None:
    first = released(world, GOOD)
    second = approved(world, world.propose(BETTER))
    rolling(Desk(world.home), Rolling(release=second.release))
    moved = fail(Desk(world.home), Fail(release=second.release, reason="crash loop"))
    assert moved.state == "rolled_back"
    assert moved.issued is not None
    assert (moved.issued.bundle, moved.issued.sequence) == (first.bundle, 3)
    assert pointers(world).barred == {second.bundle}
    assert fail(Desk(world.home), Fail(release=second.release, reason="again")) == moved
    go_live(world, moved.issued.release, first.bundle)
    assert [r.state for r in pointers(world).releases(ENDPOINT)] == ["superseded", "rolled_back", "live"]


def test_a_failed_first_rollout_leaves_nothing_to_run(world: World) -> None:
    first = approved(world, world.propose(GOOD))
    moved = fail(Desk(world.home), Fail(release=first.release, reason="crash loop"))
    assert (moved.state, moved.issued) == ("rolled_back", None)
    assert pointers(world).desired(ENDPOINT) is None


def test_a_live_release_is_rolled_back_and_not_failed(world: World) -> None:
    issued = released(world, GOOD)
    with pytest.raises(ReleaseError, match="rollback"):
        fail(Desk(world.home), Fail(release=issued.release, reason="why"))


def test_rollback_releases_the_previous_bundle_under_a_new_sequence(world: World) -> None:
    first, second = released(world, GOOD), released(world, BETTER)
    request = Rollback(endpoint=ENDPOINT, reason="complaints", actor="anna")
    moved = rollback(Desk(world.home), request)
    assert (moved.release, moved.state) == (second.release, "rolled_back")
    assert moved.issued is not None
    assert (moved.issued.bundle, moved.issued.sequence) == (first.bundle, 3)
    assert kinds(world)[-3:] == ["release rolled_back", "bar", "release approved"]
    assert rollback(Desk(world.home), request) == moved
    go_live(world, moved.issued.release, first.bundle)
    champion = pointers(world).champion(ENDPOINT)
    assert champion is not None
    assert champion.sequence == 3


def test_rollback_to_a_named_bundle(world: World) -> None:
    first = released(world, GOOD)
    released(world, BETTER)
    released(world, THIRD)
    moved = rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why", to=first.bundle))
    assert moved.issued is not None
    assert moved.issued.bundle == first.bundle


@pytest.mark.parametrize("to", [None, "sha256:unknown"])
def test_rollback_is_refused_without_a_place_to_go(world: World, to: str | None) -> None:
    released(world, GOOD)
    before = kinds(world)
    with pytest.raises(PromotionError, match="none was ever live there"):
        rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why", to=to))
    assert kinds(world) == before


def test_rollback_is_refused_when_the_bundle_is_gone(world: World) -> None:
    first = released(world, GOOD)
    released(world, BETTER)
    (world.bundles.open(first.bundle) / "payload" / "model.onnx").write_bytes(b"")
    with pytest.raises(PromotionError, match="gone, damaged, or not attested"):
        rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why"))


def test_rollback_needs_something_live(world: World) -> None:
    with pytest.raises(PromotionError, match="nothing is live"):
        rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why"))


@pytest.mark.attack
def test_a_barred_bundle_does_not_come_back_until_it_is_lifted(world: World) -> None:
    released(world, GOOD)
    second = released(world, BETTER)
    moved = rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why"))
    assert moved.issued is not None
    go_live(world, moved.issued.release, moved.issued.bundle)
    with pytest.raises(PromotionError, match="barred"):
        asked(world, second.bundle)
    with pytest.raises(PromotionError, match="barred"):
        rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why", to=second.bundle))
    lifted = lift(Desk(world.home), Lift(bundle=second.bundle, reason="it was the network", actor="anna"))
    assert len(lifted.bars) == 1
    assert lift(Desk(world.home), Lift(bundle=second.bundle, reason="again")).bars == ()
    assert approved(world, second.bundle).sequence == 4


@pytest.mark.attack
@pytest.mark.parametrize(
    "again",
    [
        {"dagster_run": "forced"},
        {"fingerprint": msgspec.structs.replace(FINGERPRINT, hardware="z80-scalar", commit="def")},
    ],
    ids=["trained by force", "trained elsewhere"],
)
def test_training_a_barred_bundle_again_does_not_bring_it_back(world: World, again: dict[str, Any]) -> None:
    """A digest is a bundle, whoever builds it, from the cache or anew."""
    released(world, GOOD)
    second = released(world, BETTER)
    moved = rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="why"))
    assert moved.issued is not None
    go_live(world, moved.issued.release, moved.issued.bundle)
    assert world.propose(BETTER, **again) == second.bundle
    with pytest.raises(PromotionError, match="barred"):
        asked(world, second.bundle)
    champion = pointers(world).champion(ENDPOINT)
    assert champion is not None
    assert champion.bundle == moved.issued.bundle


def test_renewal_issues_the_same_bundle_with_the_next_sequence(world: World) -> None:
    first = released(world, GOOD)
    request = Renew(endpoint=ENDPOINT, reason="expires")
    renewed = renew(Desk(world.home), request)
    assert (renewed.bundle, renewed.sequence) == (first.bundle, 2)
    assert renew(Desk(world.home), request) == renewed
    moved = fail(Desk(world.home), Fail(release=renewed.release, reason="port in use"))
    assert pointers(world).barred == frozenset()
    assert moved.issued is not None
    go_live(world, moved.issued.release, first.bundle)
    assert [r.state for r in pointers(world).releases(ENDPOINT)] == ["superseded", "rolled_back", "live"]


def test_renewal_needs_something_live(world: World) -> None:
    with pytest.raises(PromotionError, match="nothing is live"):
        renew(Desk(world.home), Renew(endpoint=ENDPOINT, reason="expires"))


def test_a_document_that_was_lost_or_altered_is_made_again(world: World) -> None:
    bundle = world.propose()
    issued = approved(world, bundle)
    path = world.home.root / "releases" / ENDPOINT / "1.json"
    path.write_text("{}")
    again = approved(world, bundle)
    assert again.release == issued.release
    path.unlink()
    assert rolling(Desk(world.home), Rolling(release=issued.release)).issued is not None
    assert path.exists()


def test_a_release_that_was_never_issued_has_no_life(world: World) -> None:
    with pytest.raises(ReleaseError, match="never issued"):
        rolling(Desk(world.home), Rolling(release="sha256:x"))
    with pytest.raises(ReleaseError, match="never issued"):
        fail(Desk(world.home), Fail(release="sha256:x", reason="why"))


def test_a_champion_that_moves_while_deciding_stops_the_decision(world: World) -> None:
    first, second = world.propose(GOOD), world.propose(BETTER)
    asked(world, world.propose(POOR))
    slow = Desk(world.home)
    asked(world, first)
    with pytest.raises(PromotionError, match="went on while this was decided"):
        decide(slow, Decide(bundle=second, environment="prod", endpoint=ENDPOINT))
    assert [release.bundle for release in pointers(world).releases(ENDPOINT)] == [first]
