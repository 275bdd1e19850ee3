"""A skip must be on the list, or it fails."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
INNER = """
import pytest

@pytest.mark.skip(reason="too hot")
def test_listed(): ...

@pytest.mark.skip(reason="too cold")
def test_unlisted(): ...

@pytest.mark.xfail
def test_expected_to_fail(): assert False
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]")
    pytester.makeconftest(CONFTEST.read_text())
    (pytester.path / "allowed_skips.txt").write_text("# why\ntest_inner.py::test_listed  the weather\n")
    return pytester


def test_only_a_listed_skip_passes(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_inner=INNER)
    result = suite.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    result.assert_outcomes(skipped=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["*test_unlisted skipped (Skipped: too cold) and is not listed*"])


def test_a_module_that_skips_itself_fails(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_whole="import pytest\npytest.importorskip('no_such_module')")
    result = suite.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    result.assert_outcomes(errors=1)
