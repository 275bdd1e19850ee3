"""A caller's deadline: which texts are one, and what becomes of a request whose deadline is over."""

import asyncio
import math
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.deadline import HEADER, MAX_MILLISECONDS, NEVER, Deadline, Stage, deadline_of
from serving.refusals import Refusal


def asked(*values: bytes) -> Deadline:
    return deadline_of([(b"accept", b"*/*"), *((HEADER, value) for value in values)])


@pytest.mark.parametrize("milliseconds", [0, 1, 250, MAX_MILLISECONDS])
def test_milliseconds_from_now_on(milliseconds: int) -> None:
    before = monotonic()
    found = asked(b"%d" % milliseconds)
    assert before <= found.at - milliseconds / 1000 <= monotonic()
    assert found.asked == milliseconds


def test_without_the_header_there_is_none() -> None:
    assert asked() is NEVER
    assert NEVER.at == math.inf


HOSTILE = (
    *(b"", b" ", b"-1", b"+5", b"1.5", b"1e3", b"NaN", b"inf", b"0x10", b"1_000", b"5 ", b"5,5", b"\xb2", b"\xd9\xa3"),
    *(b"%d" % (MAX_MILLISECONDS + 1), b"9" * 30, b"9" * 60_000),
)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_such_number_is_refused_in_a_sentence(value: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        asked(value)
    assert (refused.value.status, refused.value.code, refused.value.reason) == (400, "request-invalid", None)
    assert b"one whole number of milliseconds from 0 to 3600000" in refused.value.body
    assert len(refused.value.body) < 500


@pytest.mark.parametrize("values", [(b"5", b"5"), (b"5", b"9"), (b"1",) * 1000])
def test_two_of_them_are_refused(values: tuple[bytes, ...]) -> None:
    with pytest.raises(Refusal) as refused:
        asked(*values)
    assert refused.value.status == 400


@given(st.binary(max_size=12))
def test_any_bytes_are_a_deadline_or_refused(value: bytes) -> None:
    try:
        found = asked(value).asked
    except Refusal as refusal:
        found = -refusal.status
    assert found == -400 or 0 <= found <= MAX_MILLISECONDS


@pytest.mark.parametrize("stage", ["body", "features", "queue"])
def test_a_late_request_is_told_what_it_waited_for(stage: Stage) -> None:
    refusal = Deadline(0.0, 20).late(stage)
    assert (refusal.status, refusal.code, refusal.reason) == (504, "deadline-exceeded", stage)
    assert b"the 20 ms" in refusal.body


def test_nobody_waits_for_work_beyond_the_deadline() -> None:
    cancelled: list[bool] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(Refusal) as refused:
        asyncio.run(asked(b"1").meet(hangs(), "features"))
    assert (refused.value.reason, cancelled) == ("features", [True])


def test_work_that_is_done_at_once_may_be_late_too() -> None:
    async def done() -> int:
        return 7

    assert asyncio.run(NEVER.meet(done(), "body")) == 7
    assert asyncio.run(asked(b"60000").meet(done(), "body")) == 7
    with pytest.raises(Refusal) as refused:
        asyncio.run(asked(b"0").meet(done(), "body"))
    assert refused.value.reason == "body"


def test_a_timeout_of_the_work_itself_is_not_the_callers() -> None:
    async def fails() -> None:
        raise TimeoutError("of the store")

    with pytest.raises(TimeoutError, match="of the store"):
        asyncio.run(asked(b"60000").meet(fails(), "features"))
