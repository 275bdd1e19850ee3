"""The code's fingerprint: moved by what is imported, by nothing else, and equal in two folders."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.training import code_closure
from platform_assets.training.code_closure import closure_digest, import_closure

FILES = {
    "lab/__init__.py": "",
    "lab/model.py": "import json\nimport numpy\nfrom typing import TYPE_CHECKING\n\n"
    "from lab import helpers\nimport lab.deep.inner\n"
    "if TYPE_CHECKING:\n    import lab.only_types\nelse:\n    from lab.otherwise import thing\n\n"
    "def train():\n    from lab.lazy import late\n    return late\n",
    "lab/helpers.py": "from .constants import ONE as TWO\n",
    "lab/constants.py": "ONE = 1\nimport lab.model\n",
    "lab/lazy.py": "late = 1\n",
    "lab/only_types.py": "",
    "lab/otherwise.py": "thing = 1\n",
    "lab/unrelated.py": "import lab.model\n",
    "lab/deep/__init__.py": "from . import beside\nfrom ..near import thing\nfrom .. import next_door\n",
    "lab/deep/beside.py": "",
    "lab/near.py": "",
    "lab/next_door.py": "",
    "lab/deep/inner.py": "raise RuntimeError('importing runs this, and reading the imports does not')\n",
}
EXPECTED = [
    "lab",
    "lab.constants",
    "lab.deep",
    "lab.deep.beside",
    "lab.deep.inner",
    "lab.helpers",
    "lab.lazy",
    "lab.model",
    "lab.near",
    "lab.next_door",
    "lab.otherwise",
]
DIGEST = """
from platform_assets.training.code_closure import closure_digest
print(closure_digest(["platform_assets.training.fingerprint", "platform_assets.training.spec"]))
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(code_closure, "REPOSITORY", tmp_path)
    code_closure._source.cache_clear()
    yield tmp_path
    code_closure._source.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


def test_the_closure_is_what_is_imported_directly_or_not(repository: Path) -> None:
    found = import_closure(["lab.model"])
    assert list(found) == EXPECTED
    assert found["lab.deep.inner"] == repository / "lab" / "deep" / "inner.py"


def test_where_the_closure_starts_is_all_the_same_inside_a_circle(repository: Path) -> None:
    assert repository.exists()
    assert (
        closure_digest(["lab.model"])
        == closure_digest(["lab.constants"])
        == closure_digest(["lab.helpers", "lab.model"])
    )
    assert closure_digest(["lab.lazy"]) != closure_digest(["lab.model"])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_change_of_an_imported_file_changes_it(repository: Path, name: str) -> None:
    path, before = import_closure(["lab.model"])[name], closure_digest(["lab.model"])
    path.write_text(path.read_text() + "# changed\n")
    assert closure_digest(["lab.model"]) != before
    assert repository in path.parents


@pytest.mark.parametrize("name", ["lab/unrelated.py", "lab/only_types.py", "lab/deep/new.py"])
def test_a_change_of_another_file_changes_nothing(repository: Path, name: str) -> None:
    before = closure_digest(["lab.model"])
    (repository / name).write_text("CHANGED = 1\n")
    assert closure_digest(["lab.model"]) == before


def test_what_comes_from_elsewhere_is_left_out(repository: Path) -> None:
    (repository / "lab" / "lazy.py").write_text("import polars, os.path, does.not_exist\n")
    assert list(import_closure(["lab.lazy"])) == ["lab", "lab.lazy"]


def test_a_new_import_brings_its_file(repository: Path) -> None:
    (repository / "lab" / "lazy.py").write_text("import lab.unrelated\n")
    assert "lab.unrelated" in import_closure(["lab.model"])


@pytest.mark.service
def test_two_checkouts_in_different_folders_give_equal_digests(tmp_path: Path) -> None:
    real = import_closure(["platform_assets.training.fingerprint", "platform_assets.training.spec"])
    assert "formats.canonical" in real
    for checkout in (tmp_path / "one", tmp_path / "a" / "deeper" / "one"):
        for path in real.values():
            copied = checkout / path.relative_to(code_closure.REPOSITORY)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
    digests = {digest_in(tmp_path / "one"), digest_in(tmp_path / "a" / "deeper" / "one")}
    assert digests == {closure_digest(["platform_assets.training.fingerprint", "platform_assets.training.spec"])}
    (tmp_path / "one" / "formats" / "canonical.py").open("a").write("# changed\n")
    assert digest_in(tmp_path / "one") not in digests


def digest_in(checkout: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", DIGEST]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
