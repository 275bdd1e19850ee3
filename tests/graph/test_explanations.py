"""`explain` of everything in the real graph, on a short road: no key fails, each leads to its chain, each link is verified."""

from collections.abc import Iterator

import pytest

from formats.errors import DataError
from formats.home import VARIABLE
from platform_assets.cli.explain import text_of
from platform_assets.monitoring.spool import all_segments, records_in
from platform_assets.promotion.explanation import explain
from tests.graph.snapshot import keys_of
from tests.support.explained import MODEL, VIEWS, assert_every_named_fact, leads_through, told
from tests.support.small_road import DEPARTURE_DELAY, ENDPOINT, LAST, TEAM, SmallRoad, copy_of, definitions

STAGED = DEPARTURE_DELAY.endpoint(TEAM.name, "staging")
KEYS = [*keys_of("platform"), *keys_of(TEAM.name)]
RAW = ("outcomes", "schedule", "weather")
CHAIN = ("release ", "steps of release ", "decision ", "bundle ", "training set", "evaluation set", "code")
BUILT = ("bundle ", "training set", "evaluation set", "code")


@pytest.fixture(scope="module")
def road(trained: SmallRoad, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """The trained road: one bundle is live in staging, where it was asked by the rehearsal; production has nothing."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("explained")
    patch.setenv(VARIABLE, str(root))
    found = copy_of(trained, root, definitions())
    assert found.run(f"{TEAM.name}_whole_tables").success
    yield found
    found.close()
    patch.undo()


@pytest.fixture(autouse=True)
def at_home(road: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(road.home.root))


@pytest.mark.parametrize("key", KEYS)
def test_every_asset_of_the_graph_is_explained(road: SmallRoad, key: str) -> None:
    assert text_of(told(road, key))


@pytest.mark.parametrize(
    ("key", "chain"),
    [
        (f"{MODEL}/evaluation", ("evaluation ", "decision ", *BUILT)),
        (f"{MODEL}/model", ("bundles of ", *BUILT)),
        (f"{MODEL}/staging/release", CHAIN),
        (f"{MODEL}/staging/endpoint", (*CHAIN, "age of ")),
        (f"{MODEL}/staging/rehearsal", ("rehearsal ", *CHAIN)),
        (f"{MODEL}/staging/audit", ("audit: ledger_anchored", "audit: predictions_accounted", *CHAIN)),
        (f"{MODEL}/prod/release", (f"release of {ENDPOINT}", *BUILT)),
        (f"{MODEL}/prediction_log", (f"spool of {STAGED}", f"table {MODEL}/prediction_log")),
        (MODEL, CHAIN),
        (f"{MODEL}@1", (f"version {MODEL}@1", *CHAIN)),
    ],
)
def test_a_stop_leads_to_its_chain(road: SmallRoad, key: str, chain: tuple[str, ...]) -> None:
    assert leads_through(told(road, key), *chain)


@pytest.mark.parametrize("key", [f"{MODEL}/training_set", f"{MODEL}/evaluation_set", f"{TEAM.name}/online_store"])
def test_what_is_made_of_tables_leads_to_the_raw_ones(road: SmallRoad, key: str) -> None:
    links = {link.what: link for link in told(road, key)}
    for name in (*VIEWS, *RAW):
        table = links[f"table {TEAM.name}/{name}"]
        assert table.verified, name
        assert table.facts[LAST] == road.installation.lake.digests(f"{TEAM.name}/{name}")[LAST]
    first = next(iter(links.values()))
    assert first.verified
    assert all(first.facts[f"from {TEAM.name}/{name}"].startswith("sha256:") for name in VIEWS)


def test_a_search_tells_its_studies_and_what_they_were_made_on(road: SmallRoad) -> None:
    links = {link.what: link for link in told(road, f"{MODEL}/search")}
    assert "nobody has searched" in links[f"searches of {MODEL}"].note
    study = road.home.searches / MODEL / "2013-01-01-0123456789abcdef.journal"
    study.parent.mkdir(parents=True)
    study.touch()
    links = {link.what: link for link in told(road, f"{MODEL}/search")}
    assert links[f"search {study.stem}"].facts["cutoff"] == "2013-01-01"
    assert links[f"table {MODEL}/training_set"].verified


def test_a_table_that_was_changed_behind_its_digest_is_broken(road: SmallRoad) -> None:
    lake, table = road.installation.lake, f"{TEAM.name}/weather"
    path = road.home.lake / table / "_digests.json"
    whole = path.read_text()
    path.write_text(whole.replace(lake.digests(table)[LAST], f"sha256:{'0' * 64}"))
    try:
        link, _ = explain(road.installation, table)
    finally:
        path.write_text(whole)
    assert link.verified is False
    assert f"{table}[{LAST}]" in link.note


@pytest.mark.parametrize(
    "subject", [f"{MODEL}@99", "aviation/departure_delays@1", f"{MODEL}/departure", "no/such/thing/x"]
)
def test_what_nobody_knows_is_said_to_be_unknown(road: SmallRoad, subject: str) -> None:
    with pytest.raises(DataError, match="nothing is known of"):
        explain(road.installation, subject)


def asked_at(road: SmallRoad, endpoint: str) -> str:
    """The id of a prediction that the endpoint gave."""
    return records_in(all_segments(road.home.endpoint(endpoint)))[0].prediction


def test_a_prediction_and_its_endpoint_tell_every_named_fact(road: SmallRoad) -> None:
    identifier = asked_at(road, STAGED)
    links = told(road, identifier)
    assert (links[0].what, links[0].verified) == (f"prediction {identifier}", True)
    assert_every_named_fact(road, links, STAGED)
    assert_every_named_fact(road, told(road, STAGED), STAGED)
