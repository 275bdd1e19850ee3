"""A bundle is its payload: the same bytes have one digest anywhere, and any other byte is noticed."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from formats.bundle import PAYLOAD, Manifest, manifest_of, read_contract, verify_bundle
from formats.contract import Column, ServingContract
from formats.errors import IntegrityError

CONTRACT = ServingContract(model="aviation/delay", columns=(Column(name="wind", type="float"),))
FILES = {
    "contract.json": msgspec.json.encode(CONTRACT),
    "example.json": b"{}",
    "model.onnx": b"\x00onnx",
    "profile.json": b"[]",
}


def write(folder: Path, files: dict[str, bytes] = FILES) -> Manifest:
    manifest = manifest_of(FILES)
    (folder / "payload").mkdir(parents=True)
    for name, data in files.items():
        (folder / "payload" / name).write_bytes(data)
    (folder / "manifest.json").write_bytes(manifest.encode())
    return manifest


def test_the_digest_of_a_payload_is_fixed() -> None:
    fixed = manifest_of(dict.fromkeys(PAYLOAD, b"x"))
    assert fixed.digest == "sha256:0d3de6d8b5f57a5dbd132cf59666f241e735acf6b2e5d5ddc122e7b8463492a0"


def test_the_same_payload_has_one_digest_in_two_folders(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a" / "b"), write(tmp_path / "c", dict(reversed(FILES.items())))
    assert first.digest == second.digest == manifest_of(dict(reversed(FILES.items()))).digest
    assert verify_bundle(tmp_path / "a" / "b", first.digest) == verify_bundle(tmp_path / "c", first.digest) == first


def test_the_contract_is_read_from_the_payload(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_contract(tmp_path) == CONTRACT


def test_what_was_said_about_a_bundle_is_outside_of_its_digest(tmp_path: Path) -> None:
    digest = write(tmp_path).digest
    (tmp_path / "attestations").mkdir()
    (tmp_path / "attestations" / "card.json").write_bytes(b"{}")
    assert verify_bundle(tmp_path, digest).digest == digest


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (lambda folder: (folder / "payload/model.onnx").unlink(), "instead of"),
    "extra file": (lambda folder: (folder / "payload/hook.py").write_bytes(b""), r"hook\.py"),
    "hidden file": (lambda folder: (folder / "payload/.hook").write_bytes(b""), r"\.hook"),
    "altered file": (lambda folder: (folder / "payload/model.onnx").write_bytes(b"\x00onnX"), r"model\.onnx has"),
    "emptied file": (lambda folder: (folder / "payload/profile.json").write_bytes(b""), r"profile\.json has"),
    "no payload": (lambda folder: (folder / "payload").rename(folder / "old"), r"it holds \[\]"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "cannot be read"),
    "torn manifest": (lambda folder: (folder / "manifest.json").write_bytes(b'{"files":'), "cannot be read"),
    "unknown field": (lambda folder: (folder / "manifest.json").write_bytes(b'{"files":{},"x":1}'), "cannot be read"),
    "other manifest": (lambda folder: (folder / "manifest.json").write_bytes(b'{"files":{}}'), "has the digest"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_any_damage_is_named(tmp_path: Path, damage: str) -> None:
    digest = write(tmp_path).digest
    do, told = DAMAGE[damage]
    do(tmp_path)
    with pytest.raises(IntegrityError, match=told) as caught:
        verify_bundle(tmp_path, digest)
    assert caught.value.code == "digest-mismatch"
    assert digest in caught.value.message


def test_a_folder_in_the_place_of_a_file_is_damage_too(tmp_path: Path) -> None:
    digest = write(tmp_path).digest
    (tmp_path / "payload/model.onnx").unlink()
    (tmp_path / "payload/model.onnx").mkdir()
    with pytest.raises(IntegrityError, match=r"model\.onnx cannot be read"):
        verify_bundle(tmp_path, digest)


def test_a_bundle_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(IntegrityError, match="has the digest"):
        verify_bundle(tmp_path, "sha256:" + "0" * 64)


@pytest.mark.parametrize("change", [{"hook.py": b""}, {"model.onnx": None}])
def test_other_files_than_the_formats_make_no_bundle(change: dict[str, bytes | None]) -> None:
    files = {name: data for name, data in {**FILES, **change}.items() if data is not None}
    with pytest.raises(IntegrityError) as caught:
        manifest_of(files)
    assert caught.value.code == "bundle-invalid"


def test_a_manifest_that_agrees_with_itself_but_not_with_the_format_is_refused(tmp_path: Path) -> None:
    smaller = Manifest({name: file for name, file in manifest_of(FILES).files.items() if name != "profile.json"})
    write(tmp_path, {name: data for name, data in FILES.items() if name != "profile.json"})
    (tmp_path / "manifest.json").write_bytes(smaller.encode())
    with pytest.raises(IntegrityError, match="the format asks for"):
        verify_bundle(tmp_path, smaller.digest)
