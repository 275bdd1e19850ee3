"""What every authority answers, whether it is a process of this machine or a service. A new one is added to `OPENERS`."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from formats.clock import advance_clock
from formats.errors import ContractError, DataError, LedgerError, PromotionError, ReleaseError
from formats.release import read_release
from formats.signing import load_public_key
from platform_assets.promotion.authority_client import Authority, LocalAuthority
from platform_assets.promotion.messages import Decided, Issued
from platform_assets.promotion.service_client import ServiceAuthority, authority_of
from tests.support.feature_versions import NEW, OLD, payload_needing, serve_versions
from tests.support.ledgers import tamper
from tests.support.people import AT, Person
from tests.support.promotion_case import (
    BETTER,
    ENDPOINT,
    GOOD,
    MODEL,
    POOR,
    World,
    holdout_rows,
    install_policy,
    server,
)
from tests.support.services import CALLER, authority_service

pytestmark = pytest.mark.service

PATIENT = """
environment: prod
version: 1
gates: [{gate: metric_floor, minimum: 0.6, reason: it must rank}]
approvals: [{roles: [reviewer], count: 1}]
"""


@contextmanager
def local(world: World, folder: Path) -> Iterator[Authority]:
    folder.mkdir()
    yield LocalAuthority(world.home)


@contextmanager
def service(world: World, folder: Path) -> Iterator[Authority]:
    folder.mkdir()
    with authority_service(world.home, folder) as running:
        settings = f"service: {{url: {running.url}, token_file: {running.token_file}}}"
        (world.home.authority / "authority.yaml").write_text(settings)
        yield running.authority


OPENERS: dict[str, Callable[[World, Path], AbstractContextManager[Authority]]] = {"local": local, "service": service}


class Place(World):
    """An installation and its authority, initialised."""

    authority: Authority

    def decide(self, bundle: str) -> Decided:
        return self.authority.decide(bundle, "prod", ENDPOINT, actor="test")

    def issued(self, bundle: str) -> Issued:
        found = self.decide(bundle).issued
        assert found is not None
        return found

    def release(self, weights: tuple[float, float], payload: Mapping[str, bytes] | None = None) -> Issued:
        """A release that went live, of `payload` if it is given."""
        bundle = self.propose(weights) if payload is None else self.bundles.put(payload)
        self.record(bundle)
        issued = self.issued(bundle)
        assert self.authority.rolling(issued.release).state == "rolling"
        with server({"release": issued.release, "bundle": issued.bundle}) as port:
            self.serve(issued.release, issued.bundle, port)
            assert self.authority.live(issued.release, observed=issued.bundle).state == "live"
        return issued

    def actors(self, kind: str) -> list[str]:
        return [entry.actor for entry in self.ledger.entries() if entry.kind == kind]


@pytest.fixture(params=OPENERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path / "home")
    with OPENERS[request.param](found, tmp_path / "caller") as authority:
        found.authority = authority
        authority.initialise()
        yield found


def test_it_is_the_one_that_the_settings_name(place: Place) -> None:
    assert type(authority_of(place.home)) is type(place.authority)
    assert authority_of(place.home).verify().ok


def test_initialising_twice_is_initialising_once(place: Place) -> None:
    assert place.authority.initialise() == place.authority.initialise()
    assert place.authority.verify().rows == 0


def test_a_good_candidate_is_released_goes_live_is_renewed_and_taken_back(place: Place) -> None:
    first, second = place.release(GOOD), place.release(BETTER)
    renewed = place.authority.renew(ENDPOINT, reason="it expires", actor="anna")
    assert (renewed.bundle, renewed.sequence) == (second.bundle, 3)
    moved = place.authority.rollback(ENDPOINT, reason="complaints", actor="anna")
    assert moved.issued is not None
    assert (moved.bundle, moved.state, moved.issued.bundle) == (second.bundle, "rolled_back", first.bundle)
    with pytest.raises(PromotionError, match="barred") as caught:
        place.decide(second.bundle)
    assert caught.value.code == "digest-barred"
    assert len(place.authority.lift(second.bundle, reason="it was the network", actor="anna").bars) == 1
    assert place.authority.verify().ok


def test_going_back_is_refused_with_its_reason_and_done_once_the_features_are_served_again(place: Place) -> None:
    first = place.release(GOOD)
    place.release(BETTER, payload_needing(BETTER))
    serve_versions(place.home, v2=("wind",))
    with pytest.raises(PromotionError, match=f"{OLD} is needed, and the online store serves {NEW}") as caught:
        place.authority.rollback(ENDPOINT, reason="complaints", actor="anna", to="1")
    assert (caught.value.code, "version_of" in caught.value.hint) == ("features-gone", True)
    serve_versions(place.home, v1=("wind",), v2=("wind",))
    moved = place.authority.rollback(ENDPOINT, reason="complaints", actor="anna", to="1")
    assert moved.issued is not None
    assert moved.issued.bundle == first.bundle


def test_the_document_is_one_that_servers_believe(place: Place) -> None:
    issued = place.issued(place.propose(GOOD))
    trusted = [load_public_key((place.home.authority / "key.pub").read_bytes())]
    document = read_release(issued.envelope.encode(), trusted, endpoint=ENDPOINT, now=issued.expires_at.replace(day=1))
    assert (document.bundle, document.sequence) == (issued.bundle, 1)


def test_a_poor_candidate_is_refused_with_its_reasons(place: Place) -> None:
    decided = place.decide(place.propose(POOR))
    assert (decided.verdict, decided.issued) == ("refused", None)
    assert decided.reasons or [result for result in decided.results if result.outcome == "failed"]


def test_a_candidate_waits_for_a_word_and_is_approved_with_it(place: Place) -> None:
    advance_clock(place.home.clock, AT)
    install_policy(place.home, PATIENT)
    anna = Person(place.home, "anna", "reviewer")
    bundle = place.propose(GOOD)
    waiting = place.decide(bundle)
    assert (waiting.verdict, waiting.issued) == ("waiting", None)
    assert waiting.missing
    said = place.authority.say(anna.says("approve", bundle), actor="anna")
    assert (said.statement.actor, said.statement.subject) == ("anna", bundle)
    assert place.decide(bundle).verdict == "approved"


def test_a_failed_rollout_goes_back(place: Place) -> None:
    first = place.release(GOOD)
    second = place.issued(place.propose(BETTER))
    place.authority.rolling(second.release)
    moved = place.authority.fail(second.release, reason="crash loop")
    assert (moved.state, moved.issued and moved.issued.bundle) == ("rolled_back", first.bundle)


def test_asking_again_repeats_the_answer_and_writes_nothing(place: Place) -> None:
    bundle = place.propose(GOOD)
    first = place.decide(bundle)
    head = place.ledger.head()
    assert place.decide(bundle) == first
    assert place.ledger.head() == head


def test_decisions_at_once_give_one_release(place: Place) -> None:
    bundle = place.propose(GOOD)
    with ThreadPoolExecutor(2) as pool:
        decided = list(pool.map(place.decide, [bundle, bundle]))
    assert len({found.issued.release for found in decided if found.issued}) == 1
    assert place.authority.verify().ok


def test_refusals_travel_with_class_code_and_hint(place: Place) -> None:
    with pytest.raises(ReleaseError, match="never issued") as missing:
        place.authority.rolling("sha256:none")
    assert (missing.value.code, bool(missing.value.hint)) == ("release-missing", True)
    with pytest.raises(ContractError, match="no endpoint") as unclear:
        place.authority.decide("sha256:x", "prod", "somewhere", actor="test")
    assert unclear.value.code == "request-invalid"
    with pytest.raises(PromotionError, match="nobody proposed"):
        place.decide("sha256:none")
    bundle = place.propose(POOR)
    swap_holdout_rows(place)
    place.lake.forget(f"{MODEL}/evaluation_set", datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(DataError, match="was replaced and is kept no more") as gone:
        place.decide(bundle)
    assert gone.value.code == "data-missing"


def test_swapped_rows_are_not_looked_at_while_the_recorded_ones_are_kept(place: Place) -> None:
    bundle = place.propose(POOR)
    swap_holdout_rows(place)
    assert place.decide(bundle).issued is None, "it ranks well on the swapped rows, and was not judged by them"


def swap_holdout_rows(place: Place) -> None:
    """Put rows in their place whose labels are turned around, so that what ranks badly ranks well."""
    rows = holdout_rows()
    place.store("evaluation_set", rows.with_columns(late=1 - rows["late"]))


@pytest.mark.attack
def test_a_damaged_ledger_is_found_and_nothing_decided_on_it(place: Place) -> None:
    place.decide(place.propose(GOOD))
    tamper(place.home.ledger, ("UPDATE entries SET actor = 'me' WHERE sequence = 1", ()))
    verified = place.authority.verify()
    assert (verified.ok, verified.whole, verified.findings[0].sequence) == (False, False, 1)
    with pytest.raises(LedgerError) as caught:
        place.authority.rollback(ENDPOINT, reason="now", actor="me")
    assert caught.value.code == "ledger-corrupt"


def test_verifying_needs_the_public_key_alone(place: Place) -> None:
    place.decide(place.propose(GOOD))
    (place.home.authority / "key.pem").unlink()
    assert place.authority.verify().ok
    with pytest.raises(PromotionError, match="no signing key"):
        place.authority.rolling("sha256:none")


def test_the_actor_is_whoever_the_authority_knows_the_caller_to_be(place: Place) -> None:
    place.decide(place.propose(GOOD))
    expected = CALLER if isinstance(place.authority, ServiceAuthority) else "test"
    assert set(place.actors("decision") + place.actors("release")) == {expected}
