"""Every error says what, where and what next, under a code that is really used."""

import ast
import copy
import inspect
import pickle
from pathlib import Path

import pytest

from formats import errors
from formats.errors import ERROR_CODES, IntegrityError, RoadbedError
from tests.support.processes import ROOT

ROOMS = ("formats", "serving", "resources", "io_managers", "platform_assets", "team_projects")
CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, RoadbedError)]


def literals(path: Path) -> set[str]:
    """The text constants of a module, without docstrings: a code in prose is not a use."""
    nodes = ast.walk(ast.parse(path.read_bytes()))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.fixture(scope="module")
def used() -> set[str]:
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return set().union(*(literals(path) for path in paths if path != ROOT / "formats" / "errors.py"))


def test_every_code_is_used_somewhere(used: set[str]) -> None:
    assert [code for code in ERROR_CODES if code not in used] == []


def test_codes_are_distinct_and_can_be_anchors_of_a_page() -> None:
    assert len(set(ERROR_CODES)) == len(ERROR_CODES)
    assert all(code.replace("-", "").isalpha() and code.islower() for code in ERROR_CODES)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    told = {line.split()[1] for line in str(errors.__doc__).splitlines() if line.startswith(("├──", "└──"))}
    assert told == {found.__name__ for found in CLASSES} - {"RoadbedError"}
    assert all(found.__base__ is RoadbedError for found in CLASSES if found is not RoadbedError)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_crosses_a_process_boundary(kind: type[RoadbedError]) -> None:
    error = kind("digest-mismatch", "a is b", "do c")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 our own bytes
        assert type(again) is kind
        assert (again.code, again.message, again.hint, str(again)) == (error.code, "a is b", "do c", str(error))


def test_the_text_has_code_message_hint_and_page() -> None:
    text = str(IntegrityError("digest-mismatch", "a is b", "do c"))
    assert text.splitlines() == [
        "[digest-mismatch] a is b",
        "  next: do c",
        "  runbook: docs/troubleshooting.md#digest-mismatch",
    ]
