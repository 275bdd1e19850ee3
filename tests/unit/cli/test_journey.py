"""The first journey waits for what sensors do, tells it, and gives up with a sentence."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from formats.clock import advance_clock, read_clock
from formats.errors import EndpointError, HostError, PromotionError
from formats.home import Home
from platform_assets.cli import first_prediction, journey
from platform_assets.cli.failed_runs import FailedRun, failed_runs
from platform_assets.cli.first_prediction import Journey
from platform_assets.cli.held_back import HeldBack
from platform_assets.cli.processes import Processes
from platform_assets.cli.progress import Progress
from platform_assets.cli.readiness import check_running
from platform_assets.cli.services import expected_names
from platform_assets.cli.site import Site
from platform_assets.cli.up import start_clock
from resources.endpoint_state import Observed
from resources.endpoint_wishes import Sleep
from tests.support.documented import ROOT

ENDPOINT = "rail/delay/prod/endpoint"
ROUTE = Journey(datetime(2013, 5, 1, 4, tzinfo=UTC), ("rail/trains", "rail/delay/model", ENDPOINT), ENDPOINT)
SERVED = Observed(endpoint=ENDPOINT, state="stable", stable=True, release="r1", bundle="sha256:1", port=8801)
FAILURE = FailedRun(
    "run-1", ROUTE.instant, "rail/delay/model", "no trains [at all]", "http://ui/runs/run-1", retried=False
)


class Watch:
    """A clock and a series of looks; the last one repeats."""

    def __init__(self, *looks: Progress) -> None:
        self.looks = list(looks)
        self.time = 0.0
        self.output = io.StringIO()

    def look(self) -> Progress:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def wait(self) -> Observed:
        console = Console(file=self.output, width=200)
        return journey.wait_for(self.look, ROUTE, console, "http://ui", now=lambda: self.time, sleep=self.advance)

    def advance(self, seconds: float) -> None:
        self.time += seconds


def progress(
    *done: str, active: tuple[str, ...] = (), failures: tuple[FailedRun, ...] = (), served: Observed | None = None
) -> Progress:
    return Progress(done, active, failures, served)


def test_stages_are_told_once_and_in_order() -> None:
    watch = Watch(progress(), progress("rail/trains"), progress("rail/trains", "rail/delay/model"))
    watch.looks.append(progress(*ROUTE.stages, served=SERVED))
    assert watch.wait() is SERVED
    told = [line.split()[1:] for line in watch.output.getvalue().splitlines() if line.startswith("made")]
    assert told == [["1/3", "rail/trains"], ["2/3", "rail/delay/model"], ["3/3", ENDPOINT]]


def test_again_it_is_quick() -> None:
    watch = Watch(progress(*ROUTE.stages, served=SERVED))
    assert watch.wait() is SERVED
    assert watch.time == 0


def test_a_sleeping_endpoint_is_the_end_of_the_journey_too(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    sleep = Sleep("ada", datetime(2013, 5, 1, tzinfo=UTC), "nobody flies at night")
    asleep = Observed(endpoint=ENDPOINT, state="asleep", port=8801, sleep=sleep)
    monkeypatch.setattr(journey, "look", lambda *_: progress(*ROUTE.stages, served=asleep))
    output = io.StringIO()
    with dg.DagsterInstance.ephemeral() as instance:
        journey.live_through(Site(ROOT, home), instance, Console(file=output, width=200), ROUTE)
    told = output.getvalue()
    assert "until `roadbed endpoint wake`, by ada: nobody flies at night" in told
    assert f"roadbed endpoint wake {ENDPOINT}" in told


def test_a_failure_is_told_at_once_and_given_time() -> None:
    failed = progress("rail/trains", failures=(FAILURE,))
    watch = Watch(failed, failed, progress("rail/trains", active=("again",), failures=(FAILURE,)))
    watch.looks.append(progress(*ROUTE.stages, failures=(FAILURE,), served=SERVED))
    assert watch.wait() is SERVED
    assert watch.output.getvalue().count("no trains [at all]") == 1
    assert "http://ui/runs/run-1" in watch.output.getvalue()


def test_a_failure_that_nobody_mends_ends_it() -> None:
    watch = Watch(progress("rail/trains", failures=(FAILURE,)))
    with pytest.raises(EndpointError, match="nothing is trying again") as raised:
        watch.wait()
    assert "http://ui/runs/run-1" in raised.value.hint
    assert watch.time < 120


def test_a_candidate_that_is_refused_is_told_and_ends_it() -> None:
    refused = HeldBack(ENDPOINT, "sha256:12", "refused", "rehearsed: 2 of 200 requests failed")
    watch = Watch(progress("rail/trains")._replace(held=(refused,)))
    with pytest.raises(PromotionError, match=r"sha256:12 is refused .*2 of 200 requests failed") as raised:
        watch.wait()
    assert watch.output.getvalue().count("refused  sha256:12") == 1
    assert "roadbed explain sha256:12" in raised.value.hint
    assert watch.time < 120


def test_a_refusal_that_is_being_answered_is_waited_for() -> None:
    refused = HeldBack(ENDPOINT, "sha256:12", "refused", "rehearsed: 2 of 200 requests failed")
    again = progress("rail/trains", active=("rail/delay/staging/rehearsal",))._replace(held=(refused,))
    watch = Watch(*[again] * 100, progress(*ROUTE.stages, served=SERVED))
    assert watch.wait() is SERVED


def test_a_failure_that_dagster_retries_does_not() -> None:
    retried = progress("rail/trains", failures=(FAILURE._replace(retried=True),))
    watch = Watch(*[retried] * 100, progress(*ROUTE.stages, served=SERVED))
    assert watch.wait() is SERVED


def test_time_is_up() -> None:
    watch = Watch(progress("rail/trains", active=("forever",)))
    with pytest.raises(EndpointError, match=r"after 20 minutes; still missing: rail/delay/model"):
        watch.wait()


def test_the_replay_begins_once(home: Home) -> None:
    start_clock(home, ROUTE.instant)
    assert read_clock(home.clock).instant == ROUTE.instant
    later = datetime(2013, 6, 1, tzinfo=UTC)
    advance_clock(home.clock, later)
    start_clock(home, ROUTE.instant)
    assert read_clock(home.clock).instant == later


def test_failed_runs_say_what_why_and_where() -> None:
    @dg.asset
    def broken() -> None:
        raise RuntimeError("the reason\nwith detail") from ValueError("the cause")

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([broken], instance=instance, raise_on_error=False)
        (failed,) = failed_runs(instance, "http://ui")
        assert failed.url == f"http://ui/runs/{result.run_id}"
        assert failed.why == "RuntimeError: the reason"
        assert failed_runs(instance, "http://ui", since=datetime.now(UTC)) == []


def test_the_curl_survives_a_shell() -> None:
    import shlex

    body = '{"carrier": "O\'Hare; rm -rf"}'
    words = shlex.split(first_prediction.curl(8801, body, Path("nowhere")))
    assert words[-1] == body
    assert "http://127.0.0.1:8801/predict" in words


def test_the_id_of_a_prediction() -> None:
    assert first_prediction.prediction_id('{"prediction": "p1", "probability": 0.2}') == "p1"
    assert first_prediction.prediction_id('{"predictions": [{"prediction": "p2"}]}') == "p2"
    assert first_prediction.prediction_id('{"probability": 0.2}') is None


def test_the_first_journey_names_assets_that_exist() -> None:
    from aviation import definitions

    graph = definitions.defs().resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    route = first_prediction.FIRST_MODEL
    assert set(route.stages) <= keys
    assert route.endpoint == route.stages[-1]


@pytest.mark.parametrize("airport", [{}, {"airport": "JFK"}])
def test_the_request_is_by_key_when_the_example_has_the_keys(home: Home, airport: dict[str, str]) -> None:
    from tests.support.bundles import full_row, payload, store_bundle

    row = full_row() | airport
    files = payload() | {"example.json": json.dumps({"request": row, "answer": 0.5}).encode()}
    asked = json.loads(first_prediction.request_body(home, store_bundle(home, files)))
    by_key = {name: value for name, value in row.items() if name != "wind"}
    assert asked == (by_key if airport else row)


def test_a_service_that_has_ended_is_told_with_its_log(home: Home) -> None:
    site = Site(ROOT, home)
    (name, *_) = expected_names(site)
    home.logs.mkdir()
    (home.logs / f"{name}.log").write_text("MemoryError\n")
    with pytest.raises(HostError, match=rf"{name} ended meanwhile.*\nMemoryError"):
        check_running(Processes(home), site)
