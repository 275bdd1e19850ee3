"""What a chain must tell: the links of `roadbed explain`, none broken, with every fact that the design names."""

import subprocess
from collections.abc import Sequence

from aviation.team import DEPARTURE_DELAY, TEAM

from platform_assets.promotion.explained_link import Link
from platform_assets.promotion.explanation import explain
from platform_assets.promotion.live import live_release, pointers
from platform_assets.training.fingerprint import REPOSITORY
from tests.support.small_road import CUTOFF, SmallRoad

MODEL = DEPARTURE_DELAY.path(TEAM.name)
VIEWS = tuple(view.name for view in DEPARTURE_DELAY.training_set.views)


def told(road: SmallRoad, subject: str) -> tuple[Link, ...]:
    """The chain, none of whose links is broken."""
    links = explain(road.installation, subject)
    assert [link for link in links if link.verified is False] == []
    assert links
    return links


def leads_through(links: Sequence[Link], *names: str) -> bool:
    """Whether links whose names begin so are in the chain, in this order."""
    rest = iter(link.what for link in links)
    return all(any(what.startswith(name) for what in rest) for name in names)


def assert_every_named_fact(road: SmallRoad, links: Sequence[Link], endpoint: str) -> None:
    """Release, who and why, gates with values and thresholds, digests, training set, input versions, commit."""
    live, lake = live_release(road.installation, endpoint), road.installation.lake
    by_name = {link.what: link for link in links}
    release = by_name[f"release {live.release[:19]}"]
    assert (release.facts["endpoint"], release.facts["bundle"], release.facts["state"]) == (
        endpoint,
        live.bundle,
        "live",
    )
    assert release.facts["reason"]
    steps = by_name[f"steps of release {live.release[:19]}"].facts
    assert list(steps) == ["approved", "rolling", "live"]
    assert " by dagster:" in steps["approved"], "who asked for it"
    assert all(step.partition(" by ")[2] for step in steps.values()), "who took it"
    decision = by_name[f"decision {live.approval.decision[:19]}"].facts
    assert (decision["verdict"], decision["asked by"].partition(":")[0]) == ("approved", "dagster")
    assert decision["because"]
    results = pointers(road.installation).decision(live.approval.decision).results
    bounded = [result for result in results if result.value is not None and result.threshold is not None]
    assert bounded
    for result in bounded:
        assert decision[result.name].startswith(
            f"{result.status}: value {result.value:.6g}, threshold {result.threshold:.6g}; "
        )
    assert by_name[f"bundle {live.bundle}"].verified
    training = by_name["training set"]
    assert training.verified
    assert training.facts["table"] == f"{MODEL}/training_set[{CUTOFF}]"
    assert training.facts["digest"] == lake.digests(f"{MODEL}/training_set")[CUTOFF]
    inputs = {name for name in training.facts if name.startswith("from ")}
    assert inputs == {f"from {TEAM.name}/{name}" for name in (*VIEWS, "outcomes", "schedule")}
    head = subprocess.run(["git", "-C", REPOSITORY, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert by_name["code"].verified
    assert by_name["code"].facts["commit"].partition(" ")[0] == head.stdout.strip()
