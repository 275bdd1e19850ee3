"""What every bundle store does, whatever stores it. A new implementation is added to `IMPLEMENTATIONS` and nowhere else."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from formats.bundle import PAYLOAD, manifest_of
from formats.errors import IntegrityError
from formats.failpoints import VARIABLE
from resources.bundle_store import BundleStore, FileBundleStore
from tests.support.processes import ROOT

IMPLEMENTATIONS: dict[str, Callable[[Path], BundleStore]] = {"files": lambda folder: FileBundleStore(folder / "b")}

KILLED = -9
FILES = dict.fromkeys(PAYLOAD, b"x")
OTHER = {**FILES, "model.onnx": b"y"}
PUT = """
import sys
from pathlib import Path
from formats.bundle import PAYLOAD
from resources.bundle_store import FileBundleStore
for _ in range(int(sys.argv[2])):
    print(FileBundleStore(Path(sys.argv[1]) / "b").put(dict.fromkeys(PAYLOAD, b"x")))
"""


def put(folder: Path, failpoint: str = "", times: int = 1) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", PUT, str(folder), str(times)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {VARIABLE: failpoint}, stdout=subprocess.DEVNULL)


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BundleStore:
    return IMPLEMENTATIONS[request.param](tmp_path)


def test_a_bundle_is_opened_by_the_digest_of_its_payload(store: BundleStore) -> None:
    digest = store.put(FILES)
    assert digest == manifest_of(FILES).digest
    folder = store.open(digest) / "payload"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_storing_again_changes_nothing(store: BundleStore) -> None:
    digest = store.put(FILES)
    store.attest(digest, "card", b"{}")
    before = (store.open(digest) / "payload" / "model.onnx").stat().st_mtime_ns
    assert store.put(FILES) == digest
    assert (store.open(digest) / "payload" / "model.onnx").stat().st_mtime_ns == before
    assert store.attestation(digest, "card") == b"{}"


def test_two_payloads_are_two_bundles(store: BundleStore) -> None:
    one, other = store.put(FILES), store.put(OTHER)
    assert one != other
    assert (store.open(other) / "payload" / "model.onnx").read_bytes() == b"y"
    assert (store.open(one) / "payload" / "model.onnx").read_bytes() == b"x"


def test_an_incomplete_payload_is_refused(store: BundleStore) -> None:
    with pytest.raises(IntegrityError, match="the format asks for"):
        store.put({"model.onnx": b"x"})


def test_an_absent_bundle_cannot_be_opened_or_attested(store: BundleStore) -> None:
    absent = manifest_of(FILES).digest
    for ask in (lambda: store.open(absent), lambda: store.attest(absent, "card", b"{}")):
        with pytest.raises(IntegrityError, match="there is no bundle") as caught:
            ask()
        assert caught.value.code == "bundle-invalid"
    assert not store.exists(absent)
    assert not store.exists("names")
    assert store.put(FILES) == absent
    assert store.open(absent)
    assert store.exists(absent)


@pytest.mark.parametrize("name", ["payload/model.onnx", "manifest.json"])
def test_a_damaged_bundle_is_refused_until_it_is_stored_again(store: BundleStore, name: str) -> None:
    digest = store.put(FILES)
    store.attest(digest, "card", b"{}")
    (store.open(digest) / name).write_bytes(b"")
    with pytest.raises(IntegrityError, match="is damaged"):
        store.open(digest)
    assert store.put(FILES) == digest
    assert store.open(digest)
    assert store.attestation(digest, "card") == b"{}"


def test_a_bundle_with_a_foreign_file_is_refused_until_it_is_stored_again(store: BundleStore) -> None:
    digest = store.put(FILES)
    (store.open(digest) / "payload" / "hook.py").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"hook\.py"):
        store.open(digest)
    store.put(FILES)
    assert not (store.open(digest) / "payload" / "hook.py").exists()


def test_names_mean_the_digest_they_were_last_given(store: BundleStore) -> None:
    one, other = store.put(FILES), store.put(OTHER)
    for digest in (one, other):
        store.point("aviation/delay/model/2013-03-01", digest)
        assert store.pointed("aviation/delay/model/2013-03-01") == digest
    with pytest.raises(IntegrityError, match="no bundle was built for"):
        store.pointed("aviation/delay/model/2013-04-01")


def test_the_partitions_of_an_asset_are_listed_in_order(store: BundleStore) -> None:
    digest = store.put(FILES)
    for name in (
        "aviation/delay/model/2013-04-01",
        "aviation/delay/model/2013-03-01",
        "aviation/other/model/2013-05-01",
    ):
        store.point(name, digest)
    assert store.partitions("aviation/delay/model") == ("2013-03-01", "2013-04-01")
    assert store.partitions("aviation/delay") == store.partitions("aviation/none/model") == ()


def test_attestations_are_replaced_and_absent_ones_are_none(store: BundleStore) -> None:
    digest = store.put(FILES)
    store.attest(digest, "card", b"1")
    store.attest(digest, "card", b"2")
    assert (store.attestation(digest, "card"), store.attestation(digest, "sbom")) == (b"2", None)
    store.attest(digest, "signature.sigstore", b"3")
    assert store.attestations(digest) == ("card", "signature.sigstore")
    assert store.open(digest)


def test_what_an_attestation_took_the_place_of_is_kept(store: BundleStore) -> None:
    digest = store.put(FILES)
    assert store.every_attestation(digest, "card") == ()
    for document in (b"1", b"2", b"2", b"3", b"1"):
        store.attest(digest, "card", document)
    store.attest(digest, "card.sigstore", b"signed")
    newest, *earlier = store.every_attestation(digest, "card")
    assert (newest, sorted(earlier)) == (b"1", [b"2", b"3"])
    assert store.attestations(digest) == ("card", "card.sigstore")
    assert store.open(digest)


def test_what_is_stored_is_listed_with_its_bytes_until_it_is_removed(store: BundleStore) -> None:
    assert store.stored() == ()
    first, second = store.put(FILES), store.put(OTHER)
    store.point("aviation/delay/model/2013-01-01", first)
    store.point("aviation/delay/model/2013-02-01", second)
    small = {each.digest: each.size for each in store.stored()}
    store.attest(first, "card", b"123")
    assert {each.digest: each.size for each in store.stored()} == {**small, first: small[first] + 3}
    for _ in range(2):
        store.remove(first)
        assert [each.digest for each in store.stored()] == [second]
    with pytest.raises(IntegrityError, match="there is no bundle"):
        store.open(first)
    assert store.partitions("aviation/delay/model") == ("2013-02-01",)
    assert store.put(FILES) == first, "it may be built again"
    assert store.open(first)


def test_what_a_killed_removal_left_is_no_bundle_and_removed_by_the_next(store: BundleStore, tmp_path: Path) -> None:
    digest = store.put(FILES)
    folder = tmp_path / "b" / digest.removeprefix("sha256:")
    folder.rename(folder.with_name(f"gone-{folder.name}"))
    with pytest.raises(IntegrityError, match="there is no bundle"):
        store.open(digest)
    assert [each.digest for each in store.stored()] == [digest]
    store.remove(digest)
    assert store.stored() == ()


@pytest.mark.kill
@pytest.mark.parametrize(
    "failpoint", ["file.before_rename", "file.after_rename", "bundle.before_rename", "bundle.after_rename"]
)
def test_a_killed_store_is_completed_by_a_rerun(store: BundleStore, tmp_path: Path, failpoint: str) -> None:
    assert put(tmp_path, failpoint).wait(timeout=60) == KILLED
    if failpoint != "bundle.after_rename":
        with pytest.raises(IntegrityError, match="there is no bundle"):
            store.open(manifest_of(FILES).digest)
    assert store.put(FILES) == manifest_of(FILES).digest
    assert store.open(manifest_of(FILES).digest)


@pytest.mark.service
def test_processes_that_store_the_same_bundle_all_succeed(store: BundleStore, tmp_path: Path) -> None:
    assert [process.wait(timeout=60) for process in [put(tmp_path, times=5) for _ in range(3)]] == [0, 0, 0]
    assert store.open(manifest_of(FILES).digest)
    assert [path.name for path in (tmp_path / "b").iterdir()] == [manifest_of(FILES).digest.removeprefix("sha256:")]
