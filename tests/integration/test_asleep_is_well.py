"""What looks at endpoints and rolls them out knows that one that sleeps as wished is well: with a real runtime, without a road."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from formats.durable import write_atomic
from formats.errors import RoadbedError
from formats.release import ReleaseDocument
from platform_assets.endpoints.rollout import roll_out
from platform_assets.monitoring.watch import Finding, _serves
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.issue import release_path
from platform_assets.promotion.records import Approval, Release
from resources.endpoint_wishes import Sleep
from resources.installation import Installation as Handles
from resources.installation import installation_at
from tests.support.bundles import ENDPOINT
from tests.support.processes import eventually
from tests.support.runtime_place import Installation, running

pytestmark = pytest.mark.service


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    with running(tmp_path) as installation:
        yield installation


def live_release_of(document: ReleaseDocument) -> Release:
    approval = Approval(
        bundle=document.bundle,
        environment=document.environment,
        sequence=document.sequence,
        decision=document.decision,
        cause=document.decision,
        champion=None,
        cutoff=document.issued_at,
        previous=None,
        issued_at=document.issued_at,
        expires_at=document.expires_at,
        reason=document.reason,
    )
    return Release(release=document.release, endpoint=ENDPOINT, state="live", approval=approval, was_live=True)


def wish(*, until_asked: bool = False) -> Sleep:
    return Sleep("ada", datetime.now(UTC), "nobody flies at night", until_asked)


def looked(handles: Handles, release: Release) -> Finding:
    return _serves(handles, release)


def fallen_asleep(site: Installation) -> None:
    def look() -> bool:
        seen = site.runtime.observe(ENDPOINT)
        return seen.state == "asleep" and seen.pid is None and site.runtime.is_current(ENDPOINT, seen)

    eventually(look)


def test_the_watch_knows_asleep_and_wakes_nobody(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    release, handles = live_release_of(document), installation_at(site.home)
    awake = looked(handles, release)
    assert (awake.good, sorted(awake.figures)) == (True, ["CPU seconds", "awake seconds"])
    site.runtime.sleep(ENDPOINT, wish())
    fallen_asleep(site)
    asleep = looked(handles, release)
    assert (asleep.good, "by ada: nobody flies at night" in asleep.message) == (True, True)
    site.runtime.sleep(ENDPOINT, wish(until_asked=True))
    fallen_asleep(site)
    assert looked(handles, release).good
    fallen_asleep(site)
    assert not looked(handles, msgspec.structs.replace(release, release="another")).good
    site.runtime.stop()
    nobody = looked(handles, release)
    assert (nobody.good, "nobody can wake it" in nobody.message) == (False, True)
    site.runtime.sleep(ENDPOINT, wish())
    assert looked(handles, release).good, "nobody is to wake it but a person"


def test_what_is_live_is_rolled_out_again_without_waking_it(site: Installation) -> None:
    document = site.apply(1)
    site.stable(document)
    release, handles = live_release_of(document), installation_at(site.home)
    envelope = (site.home.endpoint(ENDPOINT) / "release.json").read_bytes()
    write_atomic(release_path(site.home, ENDPOINT, 1), envelope)
    assert roll_out(handles, LocalAuthority(site.home), release).stable
    site.runtime.sleep(ENDPOINT, wish())
    fallen_asleep(site)
    observed = roll_out(handles, LocalAuthority(site.home), release)
    assert (observed.state, observed.pid) == ("asleep", None)
    fallen_asleep(site)


def test_a_release_that_is_not_live_yet_wakes_it(site: Installation) -> None:
    document = site.apply(1)
    site.runtime.sleep(ENDPOINT, wish())
    fallen_asleep(site)
    rolling, handles = msgspec.structs.replace(live_release_of(document), state="rolling"), installation_at(site.home)
    envelope = (site.home.endpoint(ENDPOINT) / "release.json").read_bytes()
    write_atomic(release_path(site.home, ENDPOINT, 1), envelope)
    # This home has no ledger, so the authority has nothing to declare live; by then the gate is passed.
    with pytest.raises(RoadbedError) as caught:
        roll_out(handles, LocalAuthority(site.home), rolling)
    assert caught.value.code != "endpoint-asleep"
    assert site.runtime.asleep(ENDPOINT) is None
    assert site.runtime.observe(ENDPOINT).stable
