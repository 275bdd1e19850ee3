"""Everything that decides what a training gives is in its fingerprint, and what does not is outside of its digest."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aviation.team import DEPARTURE_DELAY

from formats.canonical import digest_of, sha256_file
from formats.errors import DeclarationError
from platform_assets.promotion.candidate import Fingerprint
from platform_assets.training import declared, fingerprint
from platform_assets.training.code_closure import REPOSITORY, closure_digest
from platform_assets.training.declared import fingerprint_of
from platform_assets.training.fingerprint import changes_between, git_state, hardware_class, take_fingerprint
from platform_assets.training.function_trainer import FunctionTrainer
from platform_assets.training.trainer import Trainer

MODULES = ("formats.canonical",)
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


def take(**changes: Any) -> Fingerprint:
    arguments = {"modules": MODULES, "config": {"epochs": 4, "rate": 0.1}, "seed": 7, "threads": 1, **changes}
    return take_fingerprint(**arguments)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fingerprint, "REPOSITORY", tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "code.py").write_text("ONE = 1\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*GIT, *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_it_names_code_lock_and_configuration_by_digest() -> None:
    found = take()
    assert found.code == closure_digest(MODULES)
    assert found.lock == f"sha256:{sha256_file(REPOSITORY / 'requirements.lock')}"
    assert found.config == digest_of({"rate": 0.1, "epochs": 4})
    assert (found.seed, found.threads, found.hardware) == (7, 1, hardware_class())


@pytest.mark.parametrize(
    "changes",
    [{"seed": 8}, {"threads": 2}, {"config": {"epochs": 5, "rate": 0.1}}, {"modules": ("formats.errors",)}],
    ids=["seed", "threads", "configuration", "code"],
)
def test_what_decides_the_result_changes_it(changes: dict[str, Any]) -> None:
    assert take(**changes).digest != take().digest
    assert take().digest == take().digest


@pytest.mark.parametrize("changes", [{"lock": "sha256:other"}, {"hardware": "z80-scalar"}])
def test_the_lock_and_the_hardware_are_in_its_digest(changes: dict[str, Any]) -> None:
    found = take()
    assert msgspec.structs.replace(found, **changes).digest != found.digest


@pytest.mark.parametrize("changes", [{"commit": "another"}, {"dirty": None}])
def test_the_commit_is_told_but_not_in_its_digest(changes: dict[str, Any]) -> None:
    found = take()
    assert msgspec.structs.replace(found, **changes).digest == found.digest


def test_a_repository_without_lock_says_so(checkout: Path) -> None:
    assert checkout.exists()
    assert take().lock == "none"


def test_uncommitted_changes_are_told(checkout: Path) -> None:
    commit, dirty = git_state()
    assert (len(commit or ""), dirty) == (40, False)
    (checkout / "code.py").write_text("TWO = 2\n")
    assert git_state() == (commit, True)
    assert take().dirty is True
    subprocess.run([*GIT, "commit", "-qam", "second"], cwd=checkout, check=True)
    again, dirty = git_state()
    assert (again != commit, dirty) == (True, False)


def test_a_new_file_counts_as_a_change(checkout: Path) -> None:
    (checkout / "new.py").write_text("")
    assert git_state()[1] is True


def test_outside_of_a_checkout_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == (None, None)


@pytest.mark.parametrize(
    ("flags", "vector"),
    [({"sse", "avx2", "avx512f"}, "avx512f"), ({"avx2"}, "avx2"), ({"asimd"}, "asimd"), (set(), "scalar")],
)
def test_the_hardware_class_is_the_widest_vector_unit(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], vector: str
) -> None:
    monkeypatch.setattr(fingerprint, "_cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert hardware_class() == f"x86_64-{vector}"


@pytest.mark.parametrize(
    ("allowed", "vector"), [("default", "scalar"), ("avx2", "avx2"), ("avx512", "avx512f"), ("", "avx512f")]
)
def test_a_narrower_unit_that_torch_is_held_to_counts(
    monkeypatch: pytest.MonkeyPatch, allowed: str, vector: str
) -> None:
    monkeypatch.setattr(fingerprint, "_cpu_flags", lambda: frozenset({"avx2", "avx512f"}))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", allowed)
    assert take().hardware == f"x86_64-{vector}"


def test_what_changed_between_two_commits(checkout: Path) -> None:
    first = str(git_state()[0])
    (checkout / "code.py").write_text("ONE = 1\nTWO = 2\n")
    subprocess.run([*GIT, "commit", "-aqm", "second"], cwd=checkout, check=True)
    second = str(git_state()[0])
    assert "code.py | 1 +" in str(changes_between(first, second))
    assert changes_between(first, first) == ""
    assert changes_between(first, "0" * 40) is None


@pytest.mark.attack
@pytest.mark.parametrize("name", ["--output=stolen", "HEAD", "", "-p", f"{'0' * 39}"])
def test_a_commit_that_git_would_take_for_something_else_is_none(checkout: Path, name: str) -> None:
    assert changes_between(name, str(git_state()[0])) is None
    assert not (checkout / "stolen").exists()


def test_another_contract_is_another_training() -> None:
    dataset = DEPARTURE_DELAY.training_set
    first, *others = dataset.views
    shorter = replace(dataset, views=(replace(first, time_to_live=first.time_to_live / 2), *others))
    one, other = (
        fingerprint_of("aviation", replace(DEPARTURE_DELAY, training_set=each)) for each in (dataset, shorter)
    )
    assert one.code == other.code
    assert one.digest != other.digest, "the endpoint would go on by the old contract"


def test_another_build_of_torch_is_another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_of("aviation", DEPARTURE_DELAY)
    monkeypatch.setattr(declared, "version", lambda _: "2.13.0+cu126")
    assert fingerprint_of("aviation", DEPARTURE_DELAY).digest != before.digest


def test_the_record_has_the_settings_whose_digest_the_fingerprint_has() -> None:
    found = fingerprint_of("aviation", DEPARTURE_DELAY)
    assert digest_of(declared.trainer_config("aviation", DEPARTURE_DELAY)) == found.config, "as `roadbed diff` asks"


def test_settings_that_cannot_be_told_apart_are_refused_with_the_model() -> None:
    def build(_: object) -> None: ...

    with pytest.raises(DeclarationError, match="nobody can tell"):
        replace(DEPARTURE_DELAY, trainer=FunctionTrainer(build, {"layers": object()}))


def test_a_trainer_that_is_no_dataclass_is_refused_with_the_model() -> None:
    bare: Any = type("Bare", (Trainer,), dict.fromkeys(Trainer.__abstractmethods__))
    with pytest.raises(DeclarationError, match="nobody can tell"):
        replace(DEPARTURE_DELAY, trainer=bare())
