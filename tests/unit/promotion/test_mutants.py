"""Would the tests notice? Each committed mutant is applied to a copy, and its test must fail there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import attestations, gates, promotion
from tests.mutants.promotion import Mutant

ROOT = Path(__file__).resolve().parents[3]
COPIED = ("formats", "serving", "resources", "io_managers", "platform_assets", "tests")
MUTANTS = (*promotion.MUTANTS, *gates.MUTANTS, *attestations.MUTANTS)
FAILED = 1  # pytest's status for tests that ran and failed, not for ones that could not run

pytestmark = [pytest.mark.mutant, pytest.mark.slow]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(folder: Path, *tests: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_tests_pass_on_an_unchanged_copy(copy: Path) -> None:
    done = run(copy, *sorted({mutant.test for mutant in MUTANTS}))
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_turns_its_test_red(copy: Path, mutant: Mutant) -> None:
    path = copy / mutant.file
    source = path.read_text()
    assert source.count(mutant.old) == 1, f"{mutant.file} no longer contains the line once: bring the mutant up to date"
    path.write_text(source.replace(mutant.old, mutant.new))
    try:
        done = run(copy, mutant.test)
    finally:
        path.write_text(source)
    assert done.returncode == FAILED, done.stdout[-2000:]
