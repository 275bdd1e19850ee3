"""What the team declares amounts to: a contract of one tensor, and days that are awaited without any view."""

from aviation.team import DEPARTURES
from vision.team import DIGITS, TEAM, WRITTEN

from formats.contract import Column
from tests.graph.snapshot import definitions


def test_a_request_is_one_image() -> None:
    contract = WRITTEN.contract(TEAM.name, DIGITS.name)
    (image,) = contract.columns
    assert image == Column(
        name="image",
        type="float",
        minimum=0,
        maximum=16,
        unit="level",
        description="ink by row and column, from the top left",
        tensor=(8, 8),
    )
    assert (contract.width, contract.output, contract.views) == (64, "probabilities", ())


def test_the_days_of_tables_are_awaited_where_there_are_no_views() -> None:
    assert WRITTEN.awaited == ("scans", "readings")
    assert DEPARTURES.awaited == tuple(view.name for view in DEPARTURES.views)


def test_a_team_without_views_has_no_online_store_and_needs_none() -> None:
    keys = {key.to_user_string() for key in definitions()["vision"].resolve_asset_graph().get_all_asset_keys()}
    assert "vision/digits/prod/endpoint" in keys
    assert "vision/online_store" not in keys
