"""The registry of failpoints: complete, without dead names, and each with a test that kills there."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from formats.failpoints import FAILPOINTS, VARIABLE
from tests.support.processes import ROOT

ROOMS = ("formats", "serving", "resources", "io_managers", "platform_assets", "team_projects")
PASS = """
from formats.failpoints import failpoint
for _ in range(3):
    failpoint("file.before_rename")
    print("passed", flush=True)
"""


def calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) == "failpoint":
            yield node


def passed_in_source() -> list[str]:
    """The names that the source passes. A name that is computed could not be checked, so it must be a literal."""
    found = [call for room in ROOMS for path in (ROOT / room).rglob("*.py") for call in calls(path)]
    return [str(ast.literal_eval(call.args[0])) for call in found]


def named_in(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_bytes()))
    return {
        node.value.partition(":")[0] for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_source_passes_every_name_of_the_registry_and_no_other() -> None:
    assert set(passed_in_source()) == set(FAILPOINTS)


def test_a_name_stands_for_one_place() -> None:
    names = passed_in_source()
    assert sorted(names) == sorted(set(names))


def test_every_failpoint_is_named_by_a_test() -> None:
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    named = set().union(*(named_in(path) for path in tests))
    assert [name for name in FAILPOINTS if name not in named] == []


@pytest.mark.kill
@pytest.mark.parametrize(
    ("armed", "passages", "code"),
    [
        ("file.before_rename", 0, -9),
        ("file.before_rename:3", 2, -9),
        ("file.before_rename:4", 3, 0),
        ("file.before", 3, 0),
        ("", 3, 0),
    ],
)
def test_a_process_dies_at_the_armed_passage(armed: str, passages: int, code: int) -> None:
    environment = os.environ | {VARIABLE: armed}
    done = subprocess.run([sys.executable, "-c", PASS], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.stdout.count(b"passed"), done.returncode) == (passages, code)
