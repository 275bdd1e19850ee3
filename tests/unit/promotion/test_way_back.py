"""To which release an endpoint can go back: by what it is called, and what stands against it, each with its page of the runbook."""

import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from formats.errors import PromotionError
from formats.signing import key_id
from platform_assets.promotion.decide import decide
from platform_assets.promotion.desk import Desk, initialise, rotate
from platform_assets.promotion.keys import public_keys, revoke_key
from platform_assets.promotion.lifecycle import lift
from platform_assets.promotion.messages import Decide, Fail, Issued, Lift, Moved, Rollback
from platform_assets.promotion.records import Waived
from platform_assets.promotion.retreat import fail, rollback
from platform_assets.promotion.way_back import obstacle
from tests.support.feature_versions import NEW, OLD, payload_needing, serve_versions
from tests.support.promotion_case import BETTER, ENDPOINT, GOOD, World, go_live

THIRD = (1.4, -1.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    initialise(found.home)
    return found


def approved(world: World, bundle: str) -> Issued:
    issued = decide(Desk(world.home), Decide(bundle=bundle, environment="prod", endpoint=ENDPOINT, actor="test")).issued
    assert issued is not None
    return issued


def released(
    world: World, weights: tuple[float, float], view: str = OLD, columns: tuple[str, ...] = ("wind",)
) -> Issued:
    """A live release of a model that takes its wind from `view`, whose packed rows hold `columns`."""
    bundle = world.bundles.put(payload_needing(weights, view, columns))
    world.record(bundle)
    issued = approved(world, bundle)
    go_live(world, issued.release, bundle)
    return issued


def back(world: World, to: str | None = None) -> Moved:
    return rollback(Desk(world.home), Rollback(endpoint=ENDPOINT, reason="complaints", to=to))


def refused(world: World, code: str, to: str | None, match: str) -> None:
    """Going back is refused with this code and reason, and changes nothing."""
    before = world.ledger.head()
    with pytest.raises(PromotionError, match=match) as caught:
        back(world, to)
    assert caught.value.code == code
    assert caught.value.hint
    assert world.ledger.head() == before


@pytest.mark.parametrize(
    "form", ["number", "endpoint and number", "id", "beginning of the id", "bundle", "its beginning"]
)
def test_a_release_is_named_in_each_way_that_people_see_it(world: World, form: str) -> None:
    first = released(world, GOOD)
    released(world, BETTER)
    released(world, THIRD)
    names = {
        "number": "1",
        "endpoint and number": f"{ENDPOINT}@1",
        "id": first.release,
        "beginning of the id": first.release[:19],
        "bundle": first.bundle,
        "its beginning": first.bundle[:19],
    }
    moved = back(world, names[form])
    assert moved.issued is not None
    assert (moved.issued.bundle, moved.issued.sequence) == (first.bundle, 4)


def test_what_is_not_reachable_says_why(world: World) -> None:
    never = approved(world, world.propose((1.3, -1.0)))
    first, second = released(world, GOOD), released(world, BETTER)
    refused(world, "candidate-refused", str(never.sequence), "release 1 of .* was never live")
    refused(world, "candidate-refused", str(second.sequence), "is what .* is to go back from")
    refused(world, "candidate-refused", "9", "none was ever live there")
    refused(world, "candidate-refused", first.bundle[:10], "none was ever live there")


def test_a_barred_release_is_refused_until_its_bar_is_lifted(world: World) -> None:
    first, second = released(world, GOOD), released(world, BETTER)
    moved = back(world)
    assert moved.issued is not None
    go_live(world, moved.issued.release, first.bundle)
    refused(world, "digest-barred", str(second.sequence), "is barred")
    refused(world, "candidate-refused", None, "is barred")
    lift(Desk(world.home), Lift(bundle=second.bundle, reason="it was the network"))
    again = back(world, str(second.sequence)).issued
    assert again is not None
    assert again.bundle == second.bundle


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_bundle_that_is_not_whole_is_refused(world: World, how: str) -> None:
    first = released(world, GOOD)
    released(world, BETTER)
    folder = world.bundles.open(first.bundle)
    if how == "gone":
        shutil.rmtree(folder)
    else:
        (folder / "payload" / "model.onnx").write_bytes(b"")
    refused(world, "bundle-invalid", "1", "gone, damaged, or not attested")
    refused(world, "candidate-refused", None, "gone, damaged, or not attested")


def test_a_release_that_rests_on_a_waiver_that_is_over_is_refused(world: World) -> None:
    released(world, GOOD)
    released(world, BETTER)
    desk = Desk(world.home)
    first, second = desk.pointers.releases(ENDPOINT)
    waived = Waived(
        gate="drift", statement="s", actor="a", role="r", reason="why", expires_at=desk.now - timedelta(days=1)
    )
    lapsed = msgspec.structs.replace(first, approval=msgspec.structs.replace(first.approval, waived=(waived,)))
    found = obstacle(desk, second, lapsed)
    assert found is not None
    assert (found.code, found.why) == ("waiver-expired", "resting on a waiver that is over (drift)")
    assert obstacle(desk, second, first) is None


@pytest.mark.attack
def test_what_a_revoked_key_approved_is_refused(world: World) -> None:
    first = released(world, GOOD)
    (key,) = public_keys(world.home)
    rotate(world.home)
    revoke_key(world.home, key_id(key))
    second = released(world, BETTER)
    for name in (first.release, first.bundle):
        refused(world, "signature-invalid", name, f"approved with the key {key_id(key)}")
    assert second.release != first.release
    refused(world, "candidate-refused", None, "none was ever live there")


def test_features_that_are_gone_are_named_with_what_is_served_instead(world: World) -> None:
    first, second = released(world, GOOD), released(world, BETTER, NEW)
    serve_versions(world.home, v2=("wind",))
    refused(world, "features-gone", "1", f"{OLD} is needed, and the online store serves {NEW}")
    refused(world, "candidate-refused", None, "of features that are gone")
    serve_versions(world.home, v1=("wind", "gusts"), v2=("wind",))
    refused(world, "features-gone", "1", f"{OLD} is needed with other columns")
    serve_versions(world.home, v1=("wind",), v2=("wind",))
    moved = back(world, "1")
    assert (moved.bundle, moved.issued and moved.issued.bundle) == (second.bundle, first.bundle)


def test_a_store_without_a_note_of_the_team_has_no_features(world: World) -> None:
    released(world, GOOD)
    released(world, BETTER, NEW)
    refused(world, "features-gone", "1", "the online store holds nothing of that team")


def test_of_several_the_newest_whose_features_are_served_is_taken(world: World) -> None:
    released(world, GOOD, "aviation/weather@3")
    first, second = released(world, BETTER, NEW), released(world, THIRD, OLD)
    released(world, (1.3, -1.0), NEW)
    serve_versions(world.home, v2=("wind",))
    moved = back(world)
    assert moved.issued is not None
    assert moved.issued.bundle == first.bundle != second.bundle


def test_features_that_the_live_release_lacks_too_do_not_keep_a_bad_model_live(world: World) -> None:
    first = released(world, GOOD)
    released(world, BETTER)
    serve_versions(world.home, v2=("wind",))
    moved = back(world)
    assert moved.issued is not None
    assert moved.issued.bundle == first.bundle


def test_a_store_that_cannot_be_read_is_said(world: World) -> None:
    released(world, GOOD)
    released(world, BETTER, NEW)
    world.home.online.mkdir(parents=True)
    (world.home.online / "data.mdb").write_bytes(b"no database" * 1000)
    refused(world, "online-store-unavailable", "1", "cannot be looked for")


def test_a_rollout_that_fails_goes_on_with_the_champion_whatever_the_store_has(world: World) -> None:
    first = released(world, GOOD)
    bundle = world.bundles.put(payload_needing(BETTER))
    world.record(bundle)
    rolling = approved(world, bundle)
    serve_versions(world.home, v2=("wind",))
    moved = fail(Desk(world.home), Fail(release=rolling.release, reason="crash loop"))
    assert moved.issued is not None
    assert moved.issued.bundle == first.bundle
