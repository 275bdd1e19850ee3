"""Each command of README.md and docs/*.md is typed into a shell in a fresh copy of the checkout (tests/support/pages_as_run.py).

One installation and one order for all pages, so that one module, and with it one worker, walks through them.
"""

import shlex
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.clone import Clone, fresh_clone, processes_in
from tests.support.pages_as_run import PAGES_AS_RUN
from tests.support.steps import REQUEST, Step, run, serve

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with fresh_clone(tmp_path_factory.mktemp("clone") / "roadbed") as made:
        try:
            yield made
        finally:
            run(Step("make down"), made)


@pytest.mark.parametrize("page", PAGES_AS_RUN)
def test_the_commands_of_the_page(page: str, clone: Clone) -> None:
    for step in PAGES_AS_RUN[page]:
        if step.before is not None:
            step.before(clone)
        if step.serving:
            serve(step, clone)
        else:
            run(step, clone)


def test_the_readmes_request_is_like_the_one_that_up_prints(clone: Clone) -> None:
    printed = next(line for line in clone.said["make up"].splitlines() if line.startswith("ask "))
    assert body_of(REQUEST).keys() == body_of(printed).keys()


def body_of(request: str) -> dict[str, object]:
    """What a `curl` line sends."""
    words = shlex.split(request)
    return msgspec.json.decode(words[words.index("-d") + 1], type=dict[str, object])


def test_down_leaves_nothing_running(clone: Clone) -> None:
    run(Step("make down", ("down ",)), clone)
    assert processes_in(clone.root) == []
