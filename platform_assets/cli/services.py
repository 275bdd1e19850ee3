"""What `roadbed up` keeps running: a code server a location, the webserver, the daemon, the endpoint runtime.

Webserver and daemon share the code servers, as they do under `dagster dev`: a location is imported once, a team's broken
location takes nothing else down, and a reload in the UI imports the team's code again.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import msgspec
import yaml

from formats.durable import write_atomic
from formats.home import Home
from platform_assets.cli.processes import Service
from platform_assets.cli.site import LOOPBACK, Site
from platform_assets.cli.workspace import Location, locations
from resources.online_settings import read_online_settings

WEBSERVER = "webserver"
DAEMON = "daemon"
RUNTIME = "endpoint-runtime"

# sun_path holds 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET = 100


def code_server_name(location: Location) -> str:
    """The service that serves `location`."""
    return f"code-{location.name}"


def socket_of(home: Home, location: Location) -> Path:
    """The socket of the location's code server: below the home if the path is short enough, else in a folder of its own."""
    path = home.run / f"{location.name}.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    short = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"roadbed-{os.getuid()}-{short}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{location.name}.sock"


def write_workspace(site: Site) -> Path:
    """The workspace of webserver and daemon, which points at the code servers. It lies in the home, not in the checkout."""
    servers = [
        {"grpc_server": {"socket": str(socket_of(site.home, location)), "location_name": location.name}}
        for location in locations(site.root)
    ]
    file = site.home.run / "workspace.yaml"
    wanted = yaml.safe_dump({"load_from": servers}).encode()
    if not file.is_file() or file.read_bytes() != wanted:
        write_atomic(file, wanted)
    return file


def expected_names(site: Site) -> list[str]:
    """Every service that `up` starts, in the order in which it starts them."""
    return [*(code_server_name(location) for location in locations(site.root)), WEBSERVER, DAEMON, RUNTIME]


def code_servers(site: Site, instance: str) -> list[Service]:
    """One service a location. `instance` is the digest of the Dagster instance's settings."""
    return [_code_server(site, location, instance + _packages()) for location in locations(site.root)]


def central_services(site: Site, instance: str) -> list[Service]:
    """Webserver, daemon and endpoint runtime."""
    workspace = write_workspace(site)
    inputs = instance + _packages() + workspace.read_text()
    arguments = ["-w", str(workspace)]
    webserver = ["-m", "dagster_webserver", "-h", LOOPBACK, "-p", str(site.port), *arguments]
    daemon = ["-m", "dagster._daemon", "run", *arguments]
    runtime = ["-m", "resources.supervisor", "--home", str(site.home.root)]
    return [
        _service(site, WEBSERVER, webserver, inputs),
        _service(site, DAEMON, daemon, inputs),
        _service(site, RUNTIME, runtime, _servers_settings(site)),
    ]


def _packages() -> str:
    """The stamp of the environment: who has imported packages that were replaced since would go on with half of each."""
    stamp = Path(sys.prefix, ".roadbed-lock")
    return stamp.read_text() if stamp.is_file() else ""


def _servers_settings(site: Site) -> str:
    """What every server is started with, so that they are all started again when it changes."""
    return msgspec.json.encode(read_online_settings(site.home)).decode()


def _code_server(site: Site, location: Location, instance: str) -> Service:
    arguments = ["-m", "dagster", "code-server", "start", "--socket", str(socket_of(site.home, location))]
    arguments += ["--module-name", location.module, "--working-directory", str((site.root / location.folder).resolve())]
    arguments += ["--location-name", location.name, "--startup-timeout", "300", "--log-level", "warning"]
    return _service(site, code_server_name(location), arguments, instance)


def _service(site: Site, name: str, arguments: list[str], inputs: str) -> Service:
    # -P: a gql.py in the checkout's root must not take the place of the package that the webserver imports.
    return Service(name, [sys.executable, "-P", *arguments], site.environment(), site.root, inputs)


def stop_order(names: list[str]) -> list[str]:
    """First who launches work (daemon, webserver), then who does it, then who serves."""
    first = {DAEMON: 0, WEBSERVER: 1, RUNTIME: 3}
    return sorted(names, key=lambda name: (first.get(name, 2), name))
