"""The flights' model with a gradient boosting as its trainer walks the same road: trained, judged, rehearsed, released, asked."""

from collections.abc import Iterator

import httpx
import msgspec
import pytest

from formats.home import VARIABLE
from platform_assets.cli.first_prediction import request_body
from platform_assets.promotion.live import live_release
from platform_assets.promotion.spec import MetricFloor
from platform_assets.training.lightgbm_trainer import LightGBMTrainer
from platform_assets.training.record import TrainingRecord
from tests.support.small_road import ENDPOINT, NOW, SmallRoad, definitions

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(1800)]

RANKS = MetricFloor(metric="auc", minimum=0.60, reason="it must rank")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """A road whose first model, a boosting, is live in production."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("boosted")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, definitions([RANKS], trainer=LightGBMTrainer(rounds=60, patience=10)))
    road.set_clock(NOW)
    road.take_in()
    assert road.train().success
    assert road.rehearse().success
    assert road.promote().success
    yield road
    road.close()
    patch.undo()


def test_it_is_live_with_its_training_recorded(live: SmallRoad) -> None:
    release = live_release(live.installation, ENDPOINT)
    attested = live.installation.bundles.attestation(release.bundle, "training")
    assert attested is not None
    record = msgspec.json.decode(attested, type=TrainingRecord)
    assert record.config["trainer"] == "lightgbm"
    assert record.parity_max_difference < 1e-5
    assert record.folds[-1]["validation_auc"] > 0.6


def test_its_endpoint_answers_with_probabilities(live: SmallRoad) -> None:
    url = f"{live.installation.runtime.url(ENDPOINT)}/predict"
    body = request_body(live.home, live_release(live.installation, ENDPOINT).bundle)
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=30).raise_for_status()
    assert 0 < answer.json()["probability"] < 1
