"""Looking at an endpoint: what its reconciler noted, and what the server itself says. Loopback only, no proxies, no redirects."""

import http.client
from pathlib import Path

import msgspec

from formats.errors import EndpointError
from formats.home import Home
from platform_assets.promotion.records import Release

_TIMEOUT = 5.0  # seconds


class Observed(msgspec.Struct, frozen=True):
    """`observed.json`: the release and bundle that run, and whether they have run long enough to be called stable."""

    release: str
    bundle: str
    stable: bool


class Ready(msgspec.Struct, frozen=True):
    """The answer of `/readyz`, as far as it matters here."""

    release: str
    bundle: str


def confirm_serving(home: Home, release: Release) -> None:
    """Raise EndpointError unless the endpoint runs exactly this release, stably, and its server says so itself."""
    folder = home.endpoint(release.endpoint)
    observed = _read(folder / "observed.json", Observed, release)
    if not observed.stable:
        raise _unstable(release, "it is not stable yet")
    ready = _ask(folder, release)
    for who, found in (("observed.json", observed), ("/readyz", ready)):
        if (found.release, found.bundle) != (release.release, release.bundle):
            raise _unstable(release, f"{who} names release {found.release}, bundle {found.bundle}")


def _read(path: Path, kind: type[Observed], release: Release) -> Observed:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise _unstable(release, f"{path.name} cannot be read ({error})") from error


def _ask(folder: Path, release: Release) -> Ready:
    connection = None
    try:
        port = int((folder / "port").read_text())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        if response.status != 200:
            raise _unstable(release, f"/readyz answers {response.status}")
        return msgspec.json.decode(response.read(), type=Ready)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unstable(release, f"/readyz cannot be asked ({error})") from error
    finally:
        if connection is not None:
            connection.close()


def _unstable(release: Release, why: str) -> EndpointError:
    return EndpointError(
        "endpoint-unstable",
        f"{release.endpoint} does not serve release {release.release} with bundle {release.bundle}: {why}",
        "let the reconciler finish, then ask again; its log says what the server does",
    )
