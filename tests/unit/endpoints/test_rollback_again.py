"""A rollback whose run died and is executed again takes back the release that was meant, and not the good one."""

from pathlib import Path

import dagster as dg
import pytest

from formats.errors import PromotionError, ReleaseError
from platform_assets.endpoints.rollback import go_back
from platform_assets.endpoints.rollback_job import meant_release
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise
from platform_assets.promotion.messages import Decide, Rollback
from platform_assets.promotion.retreat import rollback
from resources.installation import installation_at
from tests.support.promotion_case import BETTER, ENDPOINT, GOOD, World, go_live

THIRD = (1.4, -1.0)


@dg.job
def going_back() -> None:
    """Stands for a team's job."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    initialise(found.home)
    return found


def released(world: World, weights: tuple[float, float]) -> str:
    bundle = world.propose(weights)
    request = Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test")
    issued = decide(Desk(world.home), request).issued
    assert issued is not None
    go_live(world, issued.release, bundle)
    return issued.release


def test_a_run_executed_again_means_the_release_of_the_first(world: World) -> None:
    installation = installation_at(world.home)
    with dg.DagsterInstance.ephemeral() as instance:

        def meant(first: dg.DagsterRun | None = None, **tags: str) -> tuple[str | None, dg.DagsterRun]:
            root = None if first is None else first.run_id
            run = instance.create_run_for_job(going_back, parent_run_id=root, root_run_id=root, tags=tags)
            return meant_release(instance, run, installation, ENDPOINT), run

        assert meant()[0] is None, "nothing is live"
        bad = released(world, GOOD)
        found, first = meant()
        assert found == bad
        good = released(world, BETTER)
        assert meant(first)[0] == bad, "executed again"
        noted = instance.get_run_by_id(first.run_id)
        assert noted is not None
        assert meant(**noted.tags)[0] == good, "a launch that copies the tags is another"
        instance.delete_run(first.run_id)
        assert meant(first, **noted.tags)[0] == bad, "the first run was deleted; this one inherited its tags"


def test_the_authority_takes_the_release_that_is_meant_back_once(world: World) -> None:
    """Asked again when the way back is over."""
    first, second, third = (released(world, weights) for weights in (GOOD, BETTER, THIRD))
    request = Rollback(endpoint=ENDPOINT, reason="complaints", release=third)
    moved = rollback(Desk(world.home), request)
    assert moved.issued is not None
    go_live(world, moved.issued.release, moved.issued.bundle)
    before = world.ledger.head()
    assert rollback(Desk(world.home), request) == moved
    for release in (first, second):
        with pytest.raises(PromotionError, match="superseded"):
            rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="late", release=release))
    elsewhere = Rollback(endpoint="aviation/other/prod/endpoint", reason="why", release=moved.issued.release)
    with pytest.raises(PromotionError, match="was to be taken back at aviation/other"):
        rollback(Desk(world.home), elsewhere)
    assert world.ledger.head() == before


def test_what_took_the_place_is_not_rolled_out_when_the_endpoint_went_on(world: World) -> None:
    released(world, GOOD)
    bad = released(world, BETTER)
    moved = rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="complaints", release=bad))
    assert moved.issued is not None
    go_live(world, moved.issued.release, moved.issued.bundle)
    released(world, THIRD)
    with pytest.raises(ReleaseError, match="release 3, which took its place, is superseded by now"):
        go_back(
            installation_at(world.home), LocalAuthority(world.home), ENDPOINT, meant=bad, reason="again", actor="test"
        )
