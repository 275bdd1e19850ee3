"""What the endpoint runtime says about the endpoints of a home."""

from formats.errors import EndpointError
from formats.home import Home
from resources.endpoint_state import Observed
from resources.local_endpoint_runtime import LocalEndpointRuntime


def observe(home: Home, endpoint: str) -> Observed | None:
    """The endpoint's present; nothing before it has a release."""
    try:
        return LocalEndpointRuntime(home).observe(endpoint)
    except EndpointError as error:
        if error.code == "endpoint-not-found":
            return None
        raise


def observe_all(home: Home) -> dict[str, Observed]:
    """Every endpoint that has a release, by `<team>/<model>/<environment>/endpoint`."""
    top = home.root / "endpoints"
    names = [f"{file.parent.relative_to(top).as_posix()}/endpoint" for file in sorted(top.glob("*/*/*/release.json"))]
    return {name: seen for name in names if (seen := observe(home, name)) is not None}
