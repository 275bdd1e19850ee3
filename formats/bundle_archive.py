"""A bundle with its attestations as one file, to be carried elsewhere: an uncompressed tar of plain files.

    manifest.json
    payload/<name>                              formats/bundle.py
    attestations/training.json                  the record of its training, which `provenance` names by digest
    attestations/<name>.sigstore.json           formats/attestation.py

There is one archive for one content: names in order, no times, no owners. What is not exactly that is refused, so links, devices,
names that lead elsewhere, and whatever hides behind the end or in a header never reach a file system.
"""

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from formats.bundle import PAYLOAD
from formats.errors import HostError, IntegrityError

LARGEST = 1 << 30  # bytes

_NAME = re.compile(
    rf"manifest\.json|payload/(?:{'|'.join(map(re.escape, PAYLOAD))})|attestations/[a-z][a-z0-9_.-]{{0,63}}\.json"
)
_MODE = 0o644


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of `files`. Raises IntegrityError if a name is none of the format's, or they are too large."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            _check_name(name)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), _MODE
            archive.addfile(member, io.BytesIO(data))
    return _bounded(packed.getvalue())


def unpack(path: Path) -> dict[str, bytes]:
    """The files in the archive at `path`.

    Raises:
        HostError: it cannot be read.
        IntegrityError: it is no archive that `pack` makes.
    """
    data = _read(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            files = _files(archive)
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise refused(f"it is no tar archive, or cut off ({error})") from error
    if pack(files) != data:
        raise refused("it holds more than its files: other headers, another order, or bytes behind the end")
    return files


def refused(why: str) -> IntegrityError:
    """The error about an archive that is not taken."""
    return IntegrityError(
        "bundle-invalid",
        f"the archive is refused: {why}",
        "have it written by `roadbed export` once more, and carry it whole",
    )


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise _unreadable(path, "it is no file")
    try:
        with path.open("rb") as file:
            return _bounded(file.read(LARGEST + 1))
    except OSError as error:
        raise _unreadable(path, str(error)) from error


def _files(archive: tarfile.TarFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for member in archive:
        if member.type != tarfile.REGTYPE or member.issparse():
            raise refused(f"{member.name[:80]!r} is no plain file")
        _check_name(member.name)
        content = archive.extractfile(member)
        if member.name in files or content is None:
            raise refused(f"{member.name!r} is in it twice")
        files[member.name] = content.read()
    return files


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise refused(f"{name[:80]!r} is no part of a bundle")


def _bounded(data: bytes) -> bytes:
    if len(data) > LARGEST:
        raise refused(f"it has more than {LARGEST} bytes")
    return data


def _unreadable(path: Path, why: str) -> HostError:
    return HostError("home-unusable", f"{path} cannot be read: {why}", "name a file that `roadbed export` wrote")
