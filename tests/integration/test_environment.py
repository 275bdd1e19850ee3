"""deploy/local/environment.sh in copies of the checkout: a fresh environment, one that stands, and no network."""

import os
import subprocess
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.support.clone import copy_checkout

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(1200)]

PATIENCE = 900
# Nothing listens on the discard port of loopback; one attempt says as much as several.
NO_NETWORK = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_RETRIES": "0",
    "UV_HTTP_RETRIES": "0",
    "UV_NO_CACHE": "1",
}


def install(root: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """One call, as in a shell of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "TORCH", "PYTHON"}}
    return subprocess.run(
        ["deploy/local/environment.sh"],
        cwd=root,
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def ask(root: Path, code: str) -> str:
    """What the environment's own interpreter prints."""
    done = subprocess.run([root / ".venv/bin/python", "-P", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def says_one_sentence(done: subprocess.CompletedProcess[str], sentence: str) -> bool:
    """Whether `done` failed with `sentence` after the tool's own lines, and with nothing of a program's insides."""
    *tool, last = done.stderr.splitlines()
    ours = [line for line in tool if line.startswith("error: ") and sentence in line]
    assert (done.returncode, ours, "Traceback" in done.stderr) == (1, [], False), done.stderr
    assert tool, "the tool's own lines stand before"
    return last.startswith(f"error: {sentence}")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout whose environment was just made."""
    root = tmp_path_factory.mktemp("checkout") / "roadbed"
    copy_checkout(root)
    done = install(root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "environment ready"
    return root


def test_a_fresh_environment_has_compiled_bytecode_and_no_cuda(fresh: Path) -> None:
    packages = Path(ask(fresh, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    for package in ("dagster", "mlflow", "polars", "torch"):
        assert Path(cache_from_source(str(packages / package / "__init__.py"))).is_file()
    assert ask(fresh, "import torch; print(torch.__version__.split('+')[0], torch.version.cuda)") == "2.13.0 None"
    assert ask(fresh, "import platform_assets; print(platform_assets.__file__)").startswith(str(fresh))


def test_a_second_call_does_nothing(fresh: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (fresh / ".venv").glob("*")}
    done = install(fresh, PYTHON="/nonexistent", **NO_NETWORK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in (fresh / ".venv").glob("*")} == before


def test_packages_that_cannot_be_fetched_are_one_sentence(fresh: Path) -> None:
    lock = fresh / "requirements.lock"
    before = lock.read_text()
    lock.write_text(f"{before}no-such-package-of-roadbeds==1.0\n")
    assert says_one_sentence(install(fresh, **NO_NETWORK), "packages could not be installed")
    lock.write_text(before)
    assert install(fresh, **NO_NETWORK).stderr == "", "what stood stands"


def test_an_index_out_of_reach_is_one_sentence_through_make(tmp_path: Path) -> None:
    root = tmp_path / "roadbed"
    copy_checkout(root)
    assert says_one_sentence(install(root, **NO_NETWORK), "the package index cannot be reached")
    assert not (root / ".venv" / ".roadbed-lock").exists(), "the next call goes on"
    made = subprocess.run(
        ["make", "up"], cwd=root, env={**os.environ, **NO_NETWORK}, capture_output=True, text=True, check=False
    )
    assert made.returncode != 0
    assert "error: the package index cannot be reached" in made.stderr
    assert "Traceback" not in made.stderr
