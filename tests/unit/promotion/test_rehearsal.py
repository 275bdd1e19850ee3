"""Rehearsals: the gate over them, what the ledger keeps, and the replay that measures."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from platform_assets.endpoints import replay as replaying
from platform_assets.endpoints.replay import Replayed, replay, replay_until_calm
from platform_assets.promotion.gates import evaluate
from platform_assets.promotion.rehearsal import Rehearsal, newest_rehearsal, record_rehearsal, was_rehearsed
from platform_assets.promotion.spec import GateResult, Rehearsed
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT
from tests.support.promotion_case import MODEL, case
from tests.support.slow_endpoint import answering

STAGING = f"{MODEL}/staging/endpoint"
GATE = Rehearsed(errors=1, p99_ms=100.0, regression=2.0)
GOOD = Rehearsal(
    bundle="sha256:candidate",
    endpoint=STAGING,
    release="r",
    source="the evaluation set",
    requests=200,
    rate=50.0,
    errors=0,
    p50_ms=4.0,
    p99_ms=20.0,
    empty_ms=2.0,
)


def changed(**fields: Any) -> Rehearsal:
    return msgspec.structs.replace(GOOD, **fields)


def judged(folder: Path, found: Rehearsal | None, champion: Rehearsal | None = None) -> GateResult:
    matter = case(folder)
    matter.rehearsal, matter.champion_rehearsal = found, champion
    return evaluate(matter, [GATE])[0]


def test_a_good_rehearsal_is_attested(tmp_path: Path) -> None:
    found = judged(tmp_path, GOOD)
    assert (found.status, found.value, found.threshold) == ("attested", 20.0, 100.0)


@pytest.mark.parametrize(
    ("rehearsal", "told"),
    [
        (None, "was not rehearsed in staging"),
        (changed(requests=0), "nothing was asked"),
        (changed(errors=2, first_error="status 500"), "first: status 500"),
        (changed(p99_ms=101.0), "p99 is 101.0 ms; at most 100.0"),
    ],
    ids=["none", "unasked", "errors", "late"],
)
def test_what_a_rehearsal_refuses(tmp_path: Path, rehearsal: Rehearsal | None, told: str) -> None:
    found = judged(tmp_path, rehearsal)
    assert found.blocks
    assert told in found.message


@pytest.mark.parametrize(("median", "blocks"), [(7.9, False), (8.1, True)])
def test_the_champion_is_compared_in_units_of_an_empty_answer(tmp_path: Path, median: float, blocks: bool) -> None:
    champion = changed(p50_ms=8.0, empty_ms=4.0)  # a slower machine, on which empty answers take twice as long
    assert judged(tmp_path, changed(p50_ms=median), champion).blocks is blocks


def test_the_newest_rehearsal_of_the_bundle_at_the_endpoint_counts(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    assert not was_rehearsed(ledger, GOOD.bundle, STAGING)
    for run, p99 in (("a", 10.0), ("b", 30.0)):
        record_rehearsal(ledger, changed(p99_ms=p99), actor=run, at=AT)
    record_rehearsal(ledger, changed(endpoint=f"{MODEL}/other/endpoint"), actor="c", at=AT)
    newest = newest_rehearsal(ledger, GOOD.bundle, STAGING)
    assert newest is not None
    assert newest[1].p99_ms == 30.0
    assert not was_rehearsed(ledger, "sha256:other", STAGING)


@pytest.mark.attack
def test_a_rehearsal_of_another_bundle_under_this_ones_name_does_not_count(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    body = msgspec.to_builtins(changed(bundle="sha256:other"))
    for forged in (body, {"p99_ms": 1}):
        ledger.append(kind="rehearsal", subject=GOOD.bundle, inputs={"of": str(forged)}, body=forged, actor="x", at=AT)
    assert newest_rehearsal(ledger, GOOD.bundle, STAGING) is None


def test_a_replay_tells_errors_and_latency_from_the_intended_start() -> None:
    with answering(bundle="sha256:b", seconds=0.02) as url:
        found = replay(url, "sha256:b", [b"{}"] * 12, rate=1000.0)
    assert found.errors == ()
    assert len(found.latencies) == 12
    # One at a time behind a rate that it cannot keep up with: the last waits for all before it.
    assert found.quantile(1.0) > 5 * found.empty_ms


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"bundle": "sha256:other"}, "sha256:other answered instead of sha256:b"),
        ({"probability": 1.5}, "the probability is 1.5"),
        ({"status": 500}, "status 500"),
        ({"probability": None}, "ValidationError"),
    ],
)
def test_wrong_answers_are_errors(answer: dict[str, Any], told: str) -> None:
    with answering(**{"bundle": "sha256:b", **answer}) as url:
        found = replay(url, "sha256:b", [b"{}"] * 3, rate=500.0)
    assert len(found.errors) == 3
    assert told in found.errors[0]


def test_an_endpoint_that_is_gone_is_an_error_and_no_crash() -> None:
    with answering(bundle="sha256:b", dies_on_predict=True) as url:
        found = replay(url, "sha256:b", [b"{}"] * 2, rate=500.0)
    assert len(found.errors) == 2


def test_quantiles() -> None:
    found = Replayed(tuple(float(number) for number in range(1, 101)), (), 1.0)
    assert (found.quantile(0.5), found.quantile(0.99), found.quantile(1.0)) == (50.0, 99.0, 100.0)


def test_a_machine_that_stood_still_for_a_moment_is_asked_again() -> None:
    asked: list[bytes] = []
    with answering(bundle="sha256:b", stall=1.0, asked=asked) as url:
        found = replay_until_calm(url, "sha256:b", [b"{}"] * 12, rate=500.0)
    assert len(asked) > len(found.latencies) == 12
    assert found.quantile(0.99) < 1000.0, "the round without the stall"


def test_no_answer_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "_TIMEOUT_SECONDS", 1.0)
    with answering(bundle="sha256:b", stall=3.0) as url:
        found = replay(url, "sha256:b", [b"{}"], rate=500.0)
    assert found.errors == ("no answer within 1 seconds",)


@pytest.mark.parametrize(
    ("rounds", "counts"),
    [
        ([("no answer within 5 seconds",), ()], ()),
        ([("no answer within 5 seconds",), ("status 500",)], ("status 500",)),
        ([("no answer within 5 seconds",) * 2, ("no answer within 5 seconds",)] * 2, ("no answer within 5 seconds",)),
    ],
    ids=["late once", "then wrong", "always late"],
)
def test_which_round_counts(
    rounds: list[tuple[str, ...]], counts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([Replayed((1.0,), errors, 1.0) for errors in rounds])
    monkeypatch.setattr(replaying, "replay", lambda *_, **__: next(found))
    assert replay_until_calm("", "sha256:b", [b"{}"], rate=50.0).errors == counts


def test_what_is_slow_by_itself_is_slow_each_time() -> None:
    asked: list[bytes] = []
    with answering(bundle="sha256:b", seconds=0.3, asked=asked) as url:
        found = replay_until_calm(url, "sha256:b", [b"{}"] * 3, rate=500.0)
    assert len(asked) == 3 * len(found.latencies)
    assert found.quantile(0.99) >= 300.0


def test_a_wrong_answer_is_not_asked_for_again() -> None:
    asked: list[bytes] = []
    with answering(bundle="sha256:other", stall=0.5, asked=asked) as url:
        found = replay_until_calm(url, "sha256:b", [b"{}"] * 3, rate=500.0)
    assert (len(found.errors), len(asked)) == (3, 3)
