import asyncio
import random
from time import monotonic

import numpy as np
import pytest

from serving.batching import MAX_SHARED_ROWS, Answer, Batcher
from serving.deadline import Deadline
from serving.refusals import Refusal
from serving.requests import Categorical, Numeric


def rows(values: list[float]) -> tuple[Numeric, Categorical]:
    return np.array([[value] for value in values], np.float32), np.empty((len(values), 0), object)


class Doubling:
    """A model that doubles, and fails when it meets a negative number."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, numeric: Numeric, _: Categorical) -> Answer:
        self.sizes.append(len(numeric))
        if (numeric < 0).any():
            raise ValueError("negative")
        return numeric[:, 0] * 2


async def ask(batcher: Batcher, values: list[float]) -> list[float]:
    answer: list[float] = (await batcher.submit(*rows(values))).tolist()
    return answer


def test_each_caller_gets_its_own_rows() -> None:
    model = Doubling()
    requests = [[float(random.randrange(100_000)) for _ in range(random.randrange(1, 9))] for _ in range(200)]

    async def main() -> list[list[float]]:
        batcher = Batcher(model)
        return await asyncio.gather(*(ask(batcher, request) for request in requests))

    assert asyncio.run(main()) == [[2 * value for value in request] for request in requests]
    assert len(model.sizes) < len(requests)


def test_large_requests_are_not_packed_together() -> None:
    model = Doubling()

    async def main() -> None:
        batcher = Batcher(model)
        await asyncio.gather(*(ask(batcher, [1.0] * (MAX_SHARED_ROWS - 1)) for _ in range(3)))

    asyncio.run(main())
    assert model.sizes == [MAX_SHARED_ROWS - 1] * 3


def test_a_failing_row_fails_its_own_caller_only() -> None:
    async def main() -> list[list[float] | BaseException]:
        batcher = Batcher(Doubling())
        requests = [[1.0], [-1.0], [3.0]]
        return await asyncio.gather(*(ask(batcher, request) for request in requests), return_exceptions=True)

    good, bad, other = asyncio.run(main())
    assert (good, other) == ([2.0], [6.0])
    assert isinstance(bad, ValueError)


def test_a_caller_who_left_does_not_disturb() -> None:
    async def main() -> list[float]:
        batcher = Batcher(Doubling())
        left = batcher.submit(*rows([1.0]))
        stays = batcher.submit(*rows([2.0]))
        left.cancel()
        answer: list[float] = (await stays).tolist()
        assert left.cancelled()
        return answer

    assert asyncio.run(main()) == [4.0]


def test_nobody_waits_for_company() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        batcher = Batcher(Doubling())
        future = batcher.submit(*rows([1.0]))
        turns = 0
        while not future.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 2
        assert loop.is_running()

    asyncio.run(main())
    with pytest.raises(RuntimeError):
        Batcher(Doubling()).submit(*rows([1.0]))


@pytest.mark.parametrize("late", [(0,), (2,), (0, 1), (0, 1, 2)])
def test_whose_deadline_is_over_is_refused_and_not_inferred(late: tuple[int, ...]) -> None:
    model = Doubling()

    async def ask_until(batcher: Batcher, number: int) -> Answer:
        deadline = Deadline(monotonic() - 1, 5) if number in late else Deadline(monotonic() + 60, 60_000)
        return await batcher.submit(*rows([float(number)]), deadline)

    async def main() -> list[Answer | BaseException]:
        batcher = Batcher(model)
        return await asyncio.gather(*(ask_until(batcher, number) for number in range(3)), return_exceptions=True)

    for number, found in enumerate(asyncio.run(main())):
        if number in late:
            assert isinstance(found, Refusal)
            assert (found.status, found.reason) == (504, "queue")
        else:
            assert found.tolist() == [2.0 * number]  # type: ignore[union-attr]
    assert model.sizes == ([3 - len(late)] if len(late) < 3 else [])


def test_a_deadline_may_pass_while_others_are_inferred() -> None:
    ran: list[int] = []
    until = monotonic() + 0.2

    def run(numeric: Numeric, _: Categorical) -> Answer:
        ran.append(len(numeric))
        while monotonic() < until:
            pass
        return numeric[:, 0]

    async def main() -> list[Answer | BaseException]:
        batcher = Batcher(run)
        first = batcher.submit(*rows([1.0] * MAX_SHARED_ROWS))
        second = batcher.submit(*rows([2.0, 2.0]), Deadline(until, 200))
        return await asyncio.gather(first, second, return_exceptions=True)

    _, second = asyncio.run(main())
    assert isinstance(second, Refusal)
    assert ran == [MAX_SHARED_ROWS]
