"""Each command of README.md and docs/*.md is typed by a test.

`PAGES_AS_RUN` (tests/support/pages_as_run.py) holds those that the walk through the pages types (tests/integration), `ELSEWHERE`
those that another place runs. A command of a page that is in neither fails `test_every_command_is_run`.
"""

from collections.abc import Iterator

import pytest

from tests.integration.test_authority_service_commands import SERVICE_COMMANDS
from tests.integration.test_endpoint_commands import DOCUMENTED as ENDPOINT_COMMANDS
from tests.integration.test_endpoint_commands import FOLLOWED
from tests.integration.test_new_team import GOLDEN_PATH
from tests.support.documented import PAGES, ROOT, commands, is_in_order, lone_options, unknown_programs
from tests.support.pages_as_run import PAGES_AS_RUN
from tests.support.steps import Step
from tests.unit.erasure.test_erasure import DOCUMENTED
from tests.unit.reproduction.test_reproduce import GUIDE

# Running these here would run this test again, or judge the work of whoever is typing at the moment; or they make a second
# installation, with servers of its own.
ELSEWHERE = {
    **dict.fromkeys(("make lint", "make test"), ".ci/run"),
    **dict.fromkeys(SERVICE_COMMANDS, "tests/integration/test_authority_service_commands.py"),
    **dict.fromkeys(GUIDE, "tests/unit/reproduction/test_reproduce.py"),
    **dict.fromkeys(DOCUMENTED.strip().splitlines(), "tests/unit/erasure/test_erasure.py"),
    **dict.fromkeys(
        [*ENDPOINT_COMMANDS.split("\n")[1:-1], FOLLOWED.strip()], "tests/integration/test_endpoint_commands.py"
    ),
    **dict.fromkeys(GOLDEN_PATH, "tests/integration/test_new_team.py"),
}

# A verb that needs arguments, named without them: the step that has them stands for it.
NAMED = (
    "roadbed advance",
    "roadbed approve",
    "roadbed erase",
    "roadbed explain",
    "roadbed export",
    "roadbed history",
    "roadbed import",
    "roadbed ledger create",
    "roadbed lift",
    "roadbed new team",
    "roadbed reject",
    "roadbed replay",
    "roadbed reproduce",
    "roadbed rollback",
    "roadbed sql",
    "roadbed waive",
)


def shown_on(page: str) -> list[str]:
    return [shown.text for shown in commands((ROOT / page).read_text())]


def steps() -> Iterator[Step]:
    return (step for steps_ in PAGES_AS_RUN.values() for step in steps_)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run(page: str) -> None:
    known = {*(step.text for step in steps()), *ELSEWHERE, *NAMED}
    assert [text for text in shown_on(page) if text not in known] == []


@pytest.mark.parametrize("page", PAGES_AS_RUN)
def test_what_is_run_stands_on_its_page_in_this_order(page: str) -> None:
    assert is_in_order([step.text for step in PAGES_AS_RUN[page]], shown_on(page))


@pytest.mark.parametrize(("command", "file"), ELSEWHERE.items())
def test_what_runs_elsewhere_does(command: str, file: str) -> None:
    assert command in (ROOT / file).read_text().splitlines()
    assert any(command in shown_on(page) for page in PAGES)


@pytest.mark.parametrize("name", NAMED)
def test_a_verb_named_without_arguments_is_run_with_them(name: str) -> None:
    assert any(text.startswith(f"{name} ") for text in [*(step.text for step in steps()), *ELSEWHERE])


@pytest.mark.parametrize("page", PAGES)
def test_no_command_escapes_the_parser(page: str) -> None:
    markdown = (ROOT / page).read_text()
    assert unknown_programs(markdown) == set()
    assert lone_options(markdown) == []


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Call `make up` or `roadbed`.", ["make up"]),
        ("| `roadbed down` | `roadbed up --port N` |", ["roadbed down", "roadbed up --port N"]),
        ("Then:\n\n    make up      # begin\n    no command here\n", ["make up"]),
        ("    curl -s \\\n      -d '{}'\n", ["curl -s -d '{}'"]),
        ("```sh\nmake up  # begin\nmake down\n```\n", ["make up", "make down"]),
        ("```console\n$ make up\nmake believe\n```\n", ["make up"]),
        ("```python\nmake = up\n```\n", []),
        ("`ROADBED_FAILPOINT=<name>`, `A=1 make up`", ["ROADBED_FAILPOINT=<name>", "A=1 make up"]),
    ],
)
def test_the_parser(markdown: str, expected: list[str]) -> None:
    assert [shown.text for shown in commands(markdown)] == expected


def test_a_program_that_the_parser_does_not_know_is_found() -> None:
    assert unknown_programs("`awk 1 file` and `deploy/local/lock.sh now`, `raw tables`") == {
        "awk",
        "deploy/local/lock.sh",
    }
    assert [option.text for option in lone_options("`roadbed up`, with `--port N`")] == ["--port N"]
