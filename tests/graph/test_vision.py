"""The digits on the whole road: from images to an answer, in the log, explained, predicted by the day, watched for drift."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import httpx
import numpy as np
import polars as pl
import pytest
from dagster._core.definitions.sensor_definition import SensorType
from vision.definitions import defs
from vision.sources import DIGITS, read_readings, read_scans
from vision.team import DIGITS as MODEL
from vision.team import TEAM

from formats.home import VARIABLE
from platform_assets.code_location import shared_resources
from platform_assets.monitoring.sensors import newest_judged
from platform_assets.monitoring.spool import find_record
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.live import pointers
from tests.graph.snapshot import keys_of
from tests.support.explained import told
from tests.support.small_road import SmallRoad

pytestmark = [pytest.mark.slow, pytest.mark.service]

CUTOFF = "2013-01-01"
DAYS = ("2013-01-01", "2013-03-31")
NOW = datetime(2013, 4, 1, 1, tzinfo=UTC)
ENDPOINT = MODEL.endpoint(TEAM.name)
FEBRUARY = (datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRoad]:
    """The model in production, by what the team declares alone; nothing came in March."""
    patch, root = pytest.MonkeyPatch(), tmp_path_factory.mktemp("vision")
    patch.setenv(VARIABLE, str(root))
    road = SmallRoad(root, defs(None))
    road.set_clock(NOW)
    assert road.run("vision_arrivals", days=DAYS).success
    done = road.run("digits_training", partition_key=CUTOFF)
    red = {check.check_name: check.description for check in done.get_asset_check_evaluations() if not check.passed}
    assert (done.success, red) == (True, {})
    assert road.run("digits_staging").success
    assert road.run("digits_prod").success
    yield road
    road.close()
    patch.undo()


@pytest.fixture(autouse=True)
def in_its_home(road: SmallRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with a clean environment."""
    monkeypatch.setenv(VARIABLE, str(road.home.root))


@pytest.fixture
def url(road: SmallRoad) -> str:
    """The address of the endpoint in production."""
    assert pointers(road.installation).champion(ENDPOINT) is not None
    return f"http://127.0.0.1:{road.installation.runtime.observe(ENDPOINT).port}"


def held_out(rows: int) -> pl.DataFrame:
    """The last digits of February, with what they were read as."""
    scans, readings = (read(*FEBRUARY).collect() for read in (read_scans, read_readings))
    return scans.join(readings, on="scan", maintain_order="left").tail(rows)


def test_an_image_is_read(url: str) -> None:
    row = held_out(1).row(0, named=True)
    answer = httpx.post(f"{url}/predict", json={"image": row["image"]}).json()
    assert answer["class"] == row["digit"]
    assert list(answer["probabilities"]) == list(DIGITS)
    document = httpx.get(f"{url}/openapi.json").json()
    image = document["components"]["schemas"]["RowByKey"]["properties"]["image"]
    assert (image["minItems"], image["items"]["maxItems"], image["items"]["items"]["maximum"]) == (8, 8, 16)


def test_many_images_are_read_and_by_the_open_inference_protocol_alike(url: str) -> None:
    rows = held_out(100)
    answers = httpx.post(f"{url}/predict", json={"rows": rows.select("image").to_dicts()}).json()["predictions"]
    right = [answer["class"] == digit for answer, digit in zip(answers, rows["digit"], strict=True)]
    assert sum(right) >= 97
    data = np.array(rows["image"].to_list()).reshape(100, 64).tolist()
    tensor = {"name": "numeric", "shape": [100, 64], "datatype": "FP32", "data": data}
    said = httpx.post(f"{url}/v2/models/vision/digits/infer", json={"inputs": [tensor]}).json()
    outputs = {output["name"]: output["data"] for output in said["outputs"]}
    assert outputs["class"] == [answer["class"] for answer in answers]


@pytest.mark.parametrize(
    ("image", "path"),
    [
        (np.zeros((8, 7)).tolist(), "$.image[0]"),
        (np.zeros((7, 8)).tolist(), "$.image"),
        (np.zeros((28, 28)).tolist(), "$.image"),
        ([*np.zeros((7, 8)).tolist(), [0] * 7], "$.image[7]"),
        (np.zeros(64).tolist(), "$.image"),
        (np.full((8, 8), 255).tolist(), "$.image[0][0]"),
        ([*np.zeros((7, 8)).tolist(), [*[0] * 7, None]], "$.image[7][7]"),
        ([*np.zeros((7, 8)).tolist(), [*[0] * 7, "1"]], "$.image[7][7]"),
        ("iVBORw0KGgo=", "$.image"),
    ],
    ids=["narrow", "short", "larger", "ragged", "flat", "brighter", "a hole", "a text", "a file"],
)
def test_what_is_no_image_is_refused_with_its_place(url: str, image: Any, path: str) -> None:
    refused = httpx.post(f"{url}/predict", json={"image": image})
    assert refused.status_code == 422
    assert [error["path"] for error in refused.json()["errors"]] == [path]
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_an_answer_is_logged_with_its_image_and_explained(road: SmallRoad, url: str) -> None:
    row = held_out(1).row(0, named=True)
    answer = httpx.post(f"{url}/predict", json={"image": row["image"]}).json()
    record = find_record(road.home.endpoint(ENDPOINT), answer["prediction"])
    while record is None:  # its writer is another process
        record = find_record(road.home.endpoint(ENDPOINT), answer["prediction"])
    assert record.features == {"image": row["image"]}
    links = explain(road.installation, answer["prediction"])
    assert links[0].verified
    assert [link.note for link in links if link.verified is False] == []


@pytest.mark.parametrize("key", keys_of(TEAM.name))
def test_every_asset_is_explained(road: SmallRoad, key: str) -> None:
    assert told(road, key)


def test_the_days_are_predicted_and_do_not_drift(road: SmallRoad) -> None:
    days = [f"2013-02-{day}" for day in range(21, 28)]
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    done = road.run("digits_daily", tags=dict(zip(names, (days[0], days[-1]), strict=True)))
    assert done.success
    answers = road.installation.lake.scan("vision/digits/batch_predictions").collect()
    read = answers.join(held_out(360).select("scan", "digit"), on="scan")
    assert read.height == answers.height > 80
    assert (read["class"] == read["digit"]).mean() > 0.97
    drift = road.installation.lake.scan("vision/digits/drift", days[-1:]).collect()
    assert drift["column"].to_list() == ["image"]
    assert drift["psi"].item() < 0.1


def test_a_month_without_digits_judges_no_model(road: SmallRoad) -> None:
    installation = road.installation
    assert newest_judged(road.instance, installation, TEAM.owner, MODEL) == CUTOFF
    road.set_clock(NOW + timedelta(days=40))
    assert newest_judged(road.instance, installation, TEAM.owner, MODEL) == CUTOFF


def test_every_sensor_of_a_team_without_views_answers(road: SmallRoad) -> None:
    sensors = [sensor for sensor in road.defs.sensors or () if isinstance(sensor, dg.SensorDefinition)]
    ticked = [sensor for sensor in sensors if sensor.sensor_type == SensorType.STANDARD]
    assert len(ticked) >= 8
    with dg.build_sensor_context(
        instance=road.instance, resources=shared_resources(), definitions=road.defs
    ) as context:
        for sensor in ticked:
            data = sensor.evaluate_tick(context)
            assert data.run_requests or data.skip_message or data.asset_events, sensor.name
