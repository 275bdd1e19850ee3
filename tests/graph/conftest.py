"""One short road for the whole package, up to the evaluation; each test works on its own copy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from formats.home import VARIABLE
from tests.support.small_road import NOW, UNREACHABLE, SmallRoad, copy_of, definitions


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """January and February are in, and a candidate that meets the policy but not the team's gate is evaluated."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("trained")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions([UNREACHABLE]))
    road.set_clock(NOW)
    road.take_in()
    assert road.train().success
    assert road.rehearse().success
    road.rest()
    yield road
    road.close()
    patch.undo()


@pytest.fixture
def refused(trained: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRoad]:
    """A road of its own, whose candidate has a red gate."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    road = copy_of(trained, tmp_path / "home", definitions([UNREACHABLE]))
    yield road
    road.close()


@pytest.fixture
def passing(trained: SmallRoad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallRoad]:
    """A road of its own, whose candidate meets every gate."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    road = copy_of(trained, tmp_path / "home", definitions())
    assert road.train().success
    yield road
    road.close()
