"""Bundles by digest: written once, never changed, verified whenever they are opened."""

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from formats.bundle import Manifest, manifest_of, verify_bundle
from formats.canonical import sha256_hex
from formats.durable import sync_directory, write_atomic
from formats.errors import IntegrityError
from formats.failpoints import failpoint
from formats.identifiers import uuid7

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Stored(NamedTuple):
    """A bundle in the store: how many bytes it takes with all that lies beside it, and since when (by the wall) it is there."""

    digest: str
    size: int
    since: datetime


class BundleStore(ABC):
    """Bundles and what was said about them."""

    @abstractmethod
    def put(self, payload: Mapping[str, bytes]) -> str:
        """Store the payload and return its digest; storing it again changes nothing, or mends what was damaged since."""

    @abstractmethod
    def exists(self, digest: str) -> bool:
        """Whether a bundle is stored under this name, whole or damaged."""

    @abstractmethod
    def open(self, digest: str) -> Path:
        """The folder of a bundle, verified byte by byte. Raises IntegrityError when absent or damaged."""

    @abstractmethod
    def point(self, name: str, digest: str) -> None:
        """Let `name` (`<asset>/<partition>`) mean the bundle `digest`."""

    @abstractmethod
    def pointed(self, name: str) -> str:
        """The digest that `name` means. Raises IntegrityError if it means none."""

    @abstractmethod
    def partitions(self, asset: str) -> tuple[str, ...]:
        """The partitions of `asset` whose names mean a bundle, in order."""

    @abstractmethod
    def stored(self) -> tuple[Stored, ...]:
        """What is in the store, by digest; what a removal that was killed left is there too, under its digest."""

    @abstractmethod
    def remove(self, digest: str) -> None:
        """Take the bundle away with its names and attestations; nothing happens if it is gone. Nobody ever sees half of it."""

    @abstractmethod
    def attest(self, digest: str, name: str, document: bytes) -> None:
        """Put the attestation `name` beside the bundle; outside of its digest. Another one of that name is kept as an earlier one.

        Raises IntegrityError if there is no bundle.
        """

    @abstractmethod
    def attestation(self, digest: str, name: str) -> bytes | None:
        """The newest attestation `name` of the bundle, if there is one."""

    @abstractmethod
    def every_attestation(self, digest: str, name: str) -> tuple[bytes, ...]:
        """All that were ever put there under this name, the newest first: what is on record may name any of them."""

    @abstractmethod
    def attestations(self, digest: str) -> tuple[str, ...]:
        """The names of the bundle's attestations, in order."""


_GONE = "gone-"
_EARLIER = "earlier"
_HEX = re.compile(r"[0-9a-f]{64}")


class FileBundleStore(BundleStore):
    """Bundles in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    def put(self, payload: Mapping[str, bytes]) -> str:
        manifest = manifest_of(payload)
        target = self._folder(manifest.digest)
        if target.exists():
            self._mend(target, manifest, payload)
            return manifest.digest
        beside = self._root / f".{uuid7()}.tmp"
        (beside / "payload").mkdir(parents=True)
        for name, data in payload.items():
            (beside / "payload" / name).write_bytes(data)
        write_atomic(beside / "manifest.json", manifest.encode())
        failpoint("bundle.before_rename")
        self._rename(beside, target, manifest.digest)
        failpoint("bundle.after_rename")
        return manifest.digest

    @override
    def exists(self, digest: str) -> bool:
        return _DIGEST.fullmatch(digest) is not None and self._folder(digest).is_dir()

    @override
    def open(self, digest: str) -> Path:
        folder = self._existing(digest)
        verify_bundle(folder, digest)
        return folder

    @override
    def point(self, name: str, digest: str) -> None:
        write_atomic(self._root / "names" / name, digest.encode())

    @override
    def pointed(self, name: str) -> str:
        try:
            return (self._root / "names" / name).read_text()
        except FileNotFoundError as error:
            raise IntegrityError(
                "bundle-invalid", f"no bundle was built for {name}", "materialize the model asset for that partition"
            ) from error

    @override
    def partitions(self, asset: str) -> tuple[str, ...]:
        folder = self._root / "names" / asset
        return tuple(sorted(path.name for path in folder.glob("[!.]*") if path.is_file()))

    @override
    def stored(self) -> tuple[Stored, ...]:
        folders = [
            path for path in self._root.glob("*") if path.is_dir() and _HEX.fullmatch(path.name.removeprefix(_GONE))
        ]
        return tuple(_stored(folder) for folder in sorted(folders))

    @override
    def remove(self, digest: str) -> None:
        folder = self._folder(digest)
        for name in (self._root / "names").rglob("[!.]*"):
            if name.is_file() and name.read_text() == digest:
                name.unlink()
        gone = folder.with_name(f"{_GONE}{folder.name}")
        if folder.is_dir() and not gone.is_dir():
            folder.rename(gone)
            sync_directory(self._root)
        # Built again meanwhile: then both are there, and this run removes the older one alone.
        shutil.rmtree(gone, ignore_errors=True)

    @override
    def attest(self, digest: str, name: str, document: bytes) -> None:
        path = self._existing(digest) / "attestations" / f"{name}.json"
        before = path.read_bytes() if path.exists() else document
        if before != document:
            write_atomic(path.parent / _EARLIER / name / f"{sha256_hex(before)}.json", before)
        write_atomic(path, document)

    @override
    def attestation(self, digest: str, name: str) -> bytes | None:
        path = self._folder(digest) / "attestations" / f"{name}.json"
        return path.read_bytes() if path.exists() else None

    @override
    def every_attestation(self, digest: str, name: str) -> tuple[bytes, ...]:
        newest = self.attestation(digest, name)
        paths = sorted((self._folder(digest) / "attestations" / _EARLIER / name).glob("[!.]*.json"))
        earlier = tuple(path.read_bytes() for path in paths)
        return earlier if newest is None else (newest, *(each for each in earlier if each != newest))

    @override
    def attestations(self, digest: str) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self._folder(digest) / "attestations").glob("[!.]*.json")))

    def _folder(self, digest: str) -> Path:
        return self._root / digest.removeprefix("sha256:")

    def _existing(self, digest: str) -> Path:
        folder = self._folder(digest)
        if not folder.is_dir():
            raise IntegrityError(
                "bundle-invalid", f"there is no bundle {digest}", "materialize the model asset that builds it"
            )
        return folder

    def _mend(self, target: Path, manifest: Manifest, payload: Mapping[str, bytes]) -> None:
        """Write again what a power cut or a hand damaged; the digest says what belongs there."""
        try:
            verify_bundle(target, manifest.digest)
        except IntegrityError:
            shutil.rmtree(target / "payload", ignore_errors=True)
            for name, data in payload.items():
                write_atomic(target / "payload" / name, data)
            write_atomic(target / "manifest.json", manifest.encode())
            verify_bundle(target, manifest.digest)

    def _rename(self, beside: Path, target: Path, digest: str) -> None:
        try:
            beside.rename(target)
        except OSError:
            # Another process stored the same digest first; its bytes are the same or the check says so.
            shutil.rmtree(beside)
            verify_bundle(target, digest)
        sync_directory(self._root)


def _stored(folder: Path) -> Stored:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    since = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return Stored(f"sha256:{folder.name.removeprefix(_GONE)}", size, since)
