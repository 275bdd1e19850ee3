"""How old the data behind a model is, by the clock; what is not known is said, and is no age."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from formats.clock import advance_clock
from formats.packed_features import FeatureRow, columns_checksum, entity_key, pack_row
from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.staleness import Edge, ages, note_newest
from resources.installation import installation_at
from resources.lake import Part
from resources.table_ref import TableRef
from tests.support.promotion_case import MODEL, World, contract, payload

NOW = datetime(2013, 5, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
VIEW_VERSION = contract().views[0].name
VIEW, RAW, TRAINING, STORE = "aviation/weather", "aviation/readings", f"{MODEL}/training_set", "aviation/online_store"


class Place(World):
    """A world with a view, its raw table and the online store."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        advance_clock(self.home.clock, NOW)
        self.lake.note(self.training_set, {"inputs": {VIEW: "sha256:w"}, "views": {VIEW_VERSION: VIEW}})
        self.candidate: Candidate = candidate_of(self.record(self.bundles.put(payload()), max_age_days=30.0))

    def write(
        self, table: str, newest: datetime | None, sources: tuple[str, ...] = (), day: str = "2013-05-09"
    ) -> None:
        times = [] if newest is None else [newest - HOUR, newest]
        frame = pl.DataFrame(
            {"origin": ["EWR"] * len(times), "event": pl.Series(times, dtype=pl.Datetime("us", "UTC"))},
            schema_overrides={"origin": pl.String()},
        )
        ref = TableRef(table, day, f"sha256:{day}")
        self.lake.replace(table, {day: Part(frame, ref.digest)})
        note_newest(self.lake, ref, frame, "event", sources)

    def put(self, newest: datetime, columns: tuple[str, ...] = ("wind",)) -> None:
        view = contract().views[0]
        micros = int(newest.timestamp() * 1e6)
        row = FeatureRow(micros, micros, np.zeros(len(columns), np.float32))
        packed = pack_row(row, columns_checksum(columns))
        installation_at(self.home).online_store.put({entity_key(view.name, ("EWR",)): packed})

    def edges(self) -> dict[tuple[str, str], Edge]:
        found = ages(installation_at(self.home), self.candidate)
        return {(edge.source, edge.target): edge for edge in found}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_edge_has_its_age_its_lag_and_its_budget(place: Place) -> None:
    place.write(RAW, NOW - 2 * HOUR)
    place.write(VIEW, NOW - 5 * HOUR, (RAW,))
    place.put(NOW - 6 * HOUR)
    edges = place.edges()
    assert set(edges) == {(RAW, VIEW), (VIEW, TRAINING), (TRAINING, f"{MODEL}/model"), (VIEW, STORE)}
    view, online = edges[RAW, VIEW], edges[VIEW, STORE]
    assert (view.age, view.behind, view.budget, view.over) == (5 * 3600, 3 * 3600, 7 * 86400, False)
    assert (online.age, online.behind, online.budget, online.over) == (6 * 3600, 3600, 3600, True)
    model = edges[TRAINING, f"{MODEL}/model"]
    assert (model.newest, model.budget, model.over) == (datetime(2013, 4, 1, tzinfo=UTC), 30 * 86400, True)


def test_a_version_is_looked_up_in_the_table_that_holds_it(place: Place) -> None:
    place.lake.note(place.training_set, {"inputs": {f"{VIEW}_2": "sha256:w"}, "views": {VIEW_VERSION: f"{VIEW}_2"}})
    place.write(VIEW, NOW - DAY)  # the other version
    place.write(f"{VIEW}_2", NOW - 5 * HOUR)
    place.put(NOW - 6 * HOUR)
    online = place.edges()[f"{VIEW}_2", STORE]
    assert (online.age, online.behind) == (6 * 3600, 3600)
    assert (VIEW, STORE) not in place.edges()


def test_rows_of_a_view_that_marks_replaced_values_are_read(place: Place) -> None:
    served = contract()
    views = (msgspec.structs.replace(served.views[0], degradable=("wind",)),)
    changed = msgspec.json.encode(msgspec.structs.replace(served, views=views))
    place.candidate = candidate_of(place.record(place.bundles.put({**payload(), "contract.json": changed})))
    place.write(VIEW, NOW - 5 * HOUR)
    place.put(NOW - 6 * HOUR, ("wind", "degraded:wind"))
    assert place.edges()[VIEW, STORE].age == 6 * 3600


def test_a_training_set_that_does_not_name_its_views_is_said(place: Place) -> None:
    place.lake.note(place.training_set, {"inputs": {VIEW: "sha256:w"}})
    assert "does not say which table" in place.edges()[VIEW_VERSION, STORE].why


def test_rows_about_the_future_leave_nothing_behind_it(place: Place) -> None:
    place.write(RAW, NOW + 20 * DAY)
    place.write(VIEW, NOW - HOUR, (RAW,))
    assert place.edges()[RAW, VIEW].behind == 3600


def test_an_empty_day_does_not_hide_the_one_before(place: Place) -> None:
    place.write(VIEW, NOW - DAY, (RAW,), "2013-05-08")
    place.write(VIEW, None, (RAW,), "2013-05-09")
    place.put(NOW - DAY)
    edges = place.edges()
    assert edges[RAW, VIEW].age == 86400
    assert edges[VIEW, STORE].age == 86400, "the store is asked about the entities of the newest day with rows"


def test_what_is_not_known_is_said(place: Place) -> None:
    edges = place.edges()
    assert edges[VIEW, STORE].age is None
    assert "nothing was noted" in edges[VIEW, STORE].why
    place.write(VIEW, NOW, (RAW,))
    assert "nothing is known of the newest rows" in place.edges()[VIEW, STORE].why
    place.put(NOW, ("wind", "more"))
    assert "materialize" not in place.edges()[VIEW, STORE].why
    assert "checksum" in place.edges()[VIEW, STORE].why
    assert not any(edge.over for edge in edges.values() if edge.age is None)


def test_a_note_of_something_else_is_no_note(place: Place) -> None:
    place.write(VIEW, NOW, (RAW,))
    place.lake.note(TableRef(VIEW, "2013-05-09", "sha256:2013-05-09"), {"newest": "<script>", "sources": 7})
    assert (RAW, VIEW) not in place.edges()


def test_a_damaged_bundle_hides_the_views_and_nothing_else(place: Place) -> None:
    (place.bundles.open(place.candidate.bundle) / "payload" / "contract.json").write_bytes(b"{}")
    edges = place.edges()
    assert "the views" in {source for source, _ in edges}
    assert edges[TRAINING, f"{MODEL}/model"].age is not None
