"""The status table says what the results say."""

import pytest

from tests.status_table import FEATURES, MARKS, ROOT, table, verdict, written

CONTRACTS = next(feature for feature in FEATURES if "tests.unit.contracts" in feature.tests)


def test_verdicts() -> None:
    assert verdict(CONTRACTS, {}) == "not run here"
    assert verdict(CONTRACTS, {"tests.unit.contracts.test_spec.a": "passed"}) == "works (1 tests)"
    both = {"tests.unit.contracts.a": "passed", "tests.unit.contracts.b": "failed"}
    assert verdict(CONTRACTS, both) == "FAILS: 1 of 2 tests"


def test_table_replaces_what_stands_between_the_marks() -> None:
    readme = f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter"
    new = written(readme, table({}))
    assert "old" not in new
    assert new.startswith("before")
    assert new.endswith("after")
    assert new.count("| not run here |") == sum(bool(feature.tests) for feature in FEATURES)


@pytest.mark.parametrize("name", sorted({name for feature in FEATURES for name in feature.tests}))
def test_what_the_table_names_is_there(name: str) -> None:
    folder, _, beginning = name.rstrip(".").rpartition(".")
    assert list((ROOT / folder.replace(".", "/")).glob(f"{beginning}*")), f"no module or folder of tests is {name}"
