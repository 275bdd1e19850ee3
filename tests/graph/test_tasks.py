"""A model of numbers on the road up to its gates: all figures and gates of its own task."""

from collections.abc import Iterator

import pytest

from formats.home import Home
from platform_assets.code_location import team_definitions
from tests.support import digits_team
from tests.support.digits_team import CUTOFF, DAYS, NOW, ink_model
from tests.support.small_road import SmallRoad

pytestmark = pytest.mark.slow


@pytest.fixture
def road(home: Home) -> Iterator[SmallRoad]:
    road = SmallRoad(home.root, team_definitions(digits_team.team(ink_model())))
    road.set_clock(NOW)
    assert road.run("optics_arrivals", days=DAYS).success
    yield road
    road.close()


def test_a_number_is_trained_and_judged_by_its_own_gates(road: SmallRoad) -> None:
    done = road.run("ink_training", partition_key=CUTOFF)
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert done.success
    assert {name: check.description for name, check in checks.items() if not check.passed} == {}
    assert {"r2_floor", "policy_r2_better_than_base_rate", "policy_r2_better_than_champion"} <= set(checks)
    assert not {"policy_auc_floor", "policy_calibration"} & set(checks)
