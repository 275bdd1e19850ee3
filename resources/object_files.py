"""Files by name, in a folder or in a bucket: one handle on both, because obstore and delta-rs speak to both alike.

A name has `/` between its parts and never begins with one. A file is wholly there or not, on either.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from formats.durable import write_once
from formats.errors import DataError
from formats.failpoints import failpoint
from resources.object_place import ObjectPlace, connection_options

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from obstore.store import LocalStore, S3Store

_RETRIES: Final = 3
_PATIENCE: Final = timedelta(seconds=20)


class Found(NamedTuple):
    """A file: its name, its bytes, when it was written (by the storage's clock)."""

    name: str
    size: int
    at: datetime


class ObjectFiles:
    """Files below `root`: a path, or `s3://bucket/prefix`. `options` is what polars takes to get there.

    `limits` is what delta-rs takes besides: how often it tries, for how long.
    """

    limits: Final = {"max_retries": str(_RETRIES), "retry_timeout": f"{_PATIENCE.total_seconds():.0f}s"}

    def __init__(self, root: str, store: "LocalStore | S3Store", options: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.options = None if options is None else dict(options)
        self._store = store

    @classmethod
    def in_folder(cls, root: Path) -> "ObjectFiles":
        """Files in a folder of this machine, which is made."""
        from obstore.store import LocalStore

        return cls(str(root), LocalStore(root, mkdir=True))

    @classmethod
    def in_bucket(cls, place: ObjectPlace) -> "ObjectFiles":
        """Files in S3-compatible storage. Raises DataError (`storage-refused`) if a secret cannot be read."""
        from obstore.store import S3Store

        options = connection_options(place)
        store = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=options,  # type: ignore[arg-type]  # the same keys, of which obstore's types know a part
            client_options={"allow_http": True},  # what may go in the clear is decided by ObjectPlace
            retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
        )
        return cls(place.address, store, options)

    def delta_table(self, name: str, version: int | None = None) -> "DeltaTable":
        """The Delta table `name`, now or as a commit left it. Raises what `DeltaTable` raises, and DataError as `reached`."""
        from deltalake import DeltaTable

        with self.reached():
            return DeltaTable(self.uri(name), version=version, storage_options=self.delta_options)

    @property
    def delta_options(self) -> dict[str, str] | None:
        """What delta-rs takes to get there."""
        return None if self.options is None else self.options | self.limits

    def uri(self, name: str) -> str:
        """The whole name, as other engines take it."""
        return f"{self.root}/{name}"

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None if there is none."""
        with self.reached():
            try:
                return bytes(self._store.get(name).bytes())
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step."""
        failpoint("object.before_put")
        with self.reached():
            self._store.put(name, data)
        failpoint("object.after_put")

    def write_once(self, name: str, data: bytes) -> None:
        """Write a file that is not there yet, of two that do so at once the first; in a folder its owner alone can read it."""
        from obstore.exceptions import AlreadyExistsError

        if self.options is None:
            write_once(Path(self.root, name), data, mode=0o600)
            return
        with self.reached(), suppress(AlreadyExistsError):
            self._store.put(name, data, mode="create")

    def folders(self, name: str) -> list[str]:
        """The names of the folders right below `name`, whole."""
        with self.reached():
            return [str(path) for path in self._store.list_with_delimiter(name or None)["common_prefixes"]]

    def below(self, name: str) -> Iterator[Found]:
        """Every file below the folder `name`, in the order of their names."""
        with self.reached():
            listed = [each for chunk in self._store.list(name) for each in chunk]
        found = (Found(each["path"], each["size"], each["last_modified"]) for each in listed)
        yield from sorted(found)

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it is gone."""
        with self.reached():
            try:
                self._store.delete(name)
            except FileNotFoundError:
                return

    def remove_unfinished(self, name: str, before: datetime) -> None:
        """Remove parts of files below `name` that nobody went on with since `before`. In a folder; a bucket shows none."""
        if self.options is not None:
            return
        for path in Path(self.root, name).rglob("*#*"):
            # obstore's name for a file that is being written, which it lists to nobody.
            if path.name.rpartition("#")[2].isdecimal() and path.stat().st_mtime < before.timestamp():
                path.unlink(missing_ok=True)

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Errors of obstore, delta-rs and polars on the way to a bucket, in the words of this project; a folder's as they are."""
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except (FileNotFoundError, AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, OSError) as error:
            if self.options is None:
                raise
            raise self._told(str(error)) from None  # the cause's text has the request, and may have more

    def _told(self, text: str) -> DataError:
        known = next((each for each in _REFUSALS if each in text), None)
        if known is not None:
            return DataError(
                "storage-refused",
                f"the storage {self.root} refuses: {known}",
                "see key_id and secret in storage.yaml, and the user's rights in the bucket (list, get, put, delete)",
            )
        endpoint = (self.options or {}).get("aws_endpoint_url")
        where = f" at {endpoint}" if endpoint else ""
        return DataError(
            "storage-unavailable",
            f"the storage {self.root}{where} cannot be reached or fails: {_reason(text)}",
            "see that it runs and can be reached from here; then run again: what was not committed was not written",
        )


_REFUSALS: Final = (
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "AccessDenied",
    "ExpiredToken",
    "InvalidToken",
    "NoSuchBucket",
    "401 Unauthorized",
    "403 Forbidden",
)


def _reason(text: str) -> str:
    """The first line of an error, without what comes after it: dumps of requests."""
    return text.partition("\n")[0][:300]
