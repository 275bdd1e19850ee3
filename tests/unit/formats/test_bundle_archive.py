"""Archives of bundles: one for one content, and nothing else is taken."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from formats import bundle_archive
from formats.bundle_archive import pack, unpack
from formats.errors import HostError, IntegrityError

FILES = {"manifest.json": b"{}", "payload/model.onnx": b"graph", "attestations/signature.sigstore.json": b"{}"}
WHOLE = pack(FILES)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "bundle.tar"
    path.write_bytes(data)
    return path


def tar(*members: tarfile.TarInfo, mode: str = "w", form: int = tarfile.USTAR_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return packed.getvalue()


def member(name: str = "manifest.json", size: int = 2, **fields: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.mode = size, 0o644
    for field, value in fields.items():
        setattr(found, field, value)
    return found


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    assert unpack(written(tmp_path, WHOLE)) == FILES
    assert pack(dict(reversed(FILES.items()))) == WHOLE


SHIFTED = bytearray(WHOLE)
SHIFTED[136:147] = b"00000000001"  # another time in the first header; its checksum no longer fits


@pytest.mark.attack
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        WHOLE[:700],
        WHOLE[:1500],
        WHOLE + b"more",
        WHOLE + WHOLE,
        bytes(SHIFTED),
        tar(member("../../etc/cron.d/job")),
        tar(member("/etc/passwd")),
        tar(member("payload/../../key.pem")),
        tar(member("payload/hook.py")),
        tar(member("attestations/../x.json")),
        tar(member("attestations/.hidden.json")),
        tar(member("manifest.json\n")),
        tar(member(type=tarfile.SYMTYPE, size=0, linkname="/etc/passwd")),
        tar(member(type=tarfile.LNKTYPE, size=0, linkname="manifest.json")),
        tar(member(type=tarfile.CHRTYPE, size=0, devmajor=1, devminor=5)),
        tar(member(type=tarfile.BLKTYPE, size=0, devmajor=8)),
        tar(member(type=tarfile.FIFOTYPE, size=0)),
        tar(member(type=tarfile.DIRTYPE, size=0)),
        tar(member(type=tarfile.CONTTYPE)),
        tar(member(), member()),
        tar(member("payload/model.onnx"), member()),
        tar(member(mtime=1)),
        tar(member(mode=0o4755)),
        tar(member(uname="root")),
        tar(member(pax_headers={"comment": "x" * 1000}), form=tarfile.PAX_FORMAT),
        tar(member(pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), form=tarfile.PAX_FORMAT),
        tar(member(size=1 << 20), mode="w:gz"),
        tar(member(size=1 << 20), mode="w:xz"),
    ],
)
def test_a_hostile_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    with pytest.raises(IntegrityError, match="the archive is refused") as caught:
        unpack(path)
    assert caught.value.code == "bundle-invalid"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.attack
def test_a_member_that_says_that_it_is_huge_is_refused(tmp_path: Path) -> None:
    header = member(size=1 << 50).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(IntegrityError, match="refused"):
        unpack(written(tmp_path, header + b"x" * 512))


@pytest.mark.attack
def test_a_file_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_archive, "LARGEST", len(WHOLE) - 1)
    with pytest.raises(IntegrityError, match="has more than"):
        unpack(written(tmp_path, WHOLE))
    with pytest.raises(IntegrityError, match="has more than"):
        pack(FILES)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_cannot_be_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "it")
    with pytest.raises(HostError, match="it is no file"):
        unpack(tmp_path / "it")
