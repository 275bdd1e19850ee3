"""`roadbed key make` and `revoke`: a key for a caller of an endpoint, shown once; what stays is its digest."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from formats.endpoint_keys import FILE, EndpointKey, EndpointKeys, digest_of_key, new_key, read_keys, write_keys
from formats.errors import DeclarationError, EndpointError
from formats.home import Home
from platform_assets.cli.options import Endpoint
from platform_assets.cli.site import find_site

Decoded = TypeVar("Decoded", EndpointKey, EndpointKeys)


Name = Annotated[str, typer.Argument(help="Whose key it is; it stands in refusals and in the server's log.")]


def make(
    endpoint: Endpoint,
    name: Name,
    scope: Annotated[
        list[str] | None, typer.Option(help="What it opens: predict (if not given), status, metrics; may be repeated.")
    ] = None,
    per_second: Annotated[float | None, typer.Option(help="Requests a second; any number when not given.")] = None,
) -> None:
    """Make a key for a caller of an endpoint, which takes one from then on; its server notices by itself."""
    folder = _folder(find_site(None).home, endpoint)
    key = new_key()
    made = _declared(name, key, tuple(scope or ("predict",)), per_second)
    with _alone(folder) as known:
        if any(one.name == name for one in known.keys):
            raise DeclarationError(
                "declaration-invalid",
                f"{endpoint} has a key {name} already",
                f"give the new one another name, and then `roadbed key revoke {endpoint} {name}`",
            )
        write_keys(folder / FILE, _decoded({"keys": [*known.keys, made]}, EndpointKeys))
    typer.echo(f"made     {name} for {', '.join(made.scopes)} at {endpoint}; the key is shown this once:")
    typer.echo(key)


def revoke(endpoint: Endpoint, name: Name) -> None:
    """Take a key of an endpoint back; with the last one gone nobody may ask."""
    folder = _folder(find_site(None).home, endpoint)
    with _alone(folder) as known:
        write_keys(folder / FILE, _without(known, name, endpoint))
    typer.echo(f"revoked  {name} at {endpoint}")


def _folder(home: Home, endpoint: str) -> Path:
    folder, parts = home.endpoint(endpoint), endpoint.split("/")
    named = len(parts) == 4 and parts[-1] == "endpoint" and not {"", ".", ".."}.intersection(parts)
    if not (named and folder.is_dir()):
        raise EndpointError(
            "endpoint-not-found",
            f"{endpoint} never ran here",
            "`roadbed status` lists the endpoints; name one as <team>/<model>/<environment>/endpoint",
        )
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[EndpointKeys]:
    """The keys that there are, while nobody else changes them."""
    with (folder / "keys.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield read_keys(folder / FILE) or EndpointKeys()


def _without(known: EndpointKeys, name: str, endpoint: str) -> EndpointKeys:
    kept = tuple(one for one in known.keys if one.name != name)
    if len(kept) == len(known.keys):
        names = ", ".join(one.name for one in known.keys) or "none"
        raise DeclarationError(
            "declaration-invalid", f"{endpoint} has no key {name}", f"it has {names}; name one of them"
        )
    return EndpointKeys(keys=kept)


def _declared(name: str, key: str, scopes: tuple[str, ...], per_second: float | None) -> EndpointKey:
    digest = digest_of_key(key.encode()).hex()
    return _decoded({"name": name, "sha256": digest, "scopes": scopes, "per_second": per_second}, EndpointKey)


def _decoded(value: object, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.convert(msgspec.to_builtins(value), kind)
    except msgspec.ValidationError as error:
        raise DeclarationError("declaration-invalid", f"this is no key: {error}", "see `--help`") from error
