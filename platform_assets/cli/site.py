"""Where `roadbed` works: the checkout, the state folder, the webserver's port, and the environment of what it starts."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

from formats.durable import write_atomic
from formats.errors import HostError
from formats.home import VARIABLE, Home
from platform_assets.threads import ONE_THREAD_EACH

PORT_VARIABLE = "ROADBED_PORT"
DEFAULT_PORT = 3000
LOOPBACK = "127.0.0.1"


class Site(NamedTuple):
    """One checkout (`root`, where workspace.yaml and dagster.yaml lie) and one home."""

    root: Path
    home: Home
    port: int = DEFAULT_PORT

    @property
    def url(self) -> str:
        """The UI's address."""
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The environment of every process that works on this home."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # Imports dominate a start on two loaded cores; Dagster's own limits assume an idle machine.
        defaults = ONE_THREAD_EACH | {
            "POLARS_MAX_THREADS": "2",
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "300",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONUNBUFFERED": "1",
        }
        fixed = {
            VARIABLE: str(self.home.root),
            "DAGSTER_HOME": str(self.home.dagster),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
        }
        return defaults | inherited | fixed


def find_root(start: Path | None = None) -> Path:
    """The checkout around `start` (default: the working directory), else the one that this package lies in.

    Raises:
        HostError: neither has a workspace.yaml.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "workspace.yaml").is_file() and (folder / "dagster.yaml").is_file():
            return folder
    raise HostError(
        "home-unusable",
        f"{here} is not inside a Roadbed checkout: no folder above it has workspace.yaml and dagster.yaml",
        "run the command in the checkout",
    )


def find_site(port: int | None = None) -> Site:
    """The site of the working directory.

    The home is ROADBED_HOME or `<root>/.roadbed`; the port is `port`, ROADBED_PORT, that of the last `up`, or 3000.

    Raises:
        HostError: there is no checkout, the port is no port, or the checkout's .env names another state.
    """
    root = find_root()
    home = Home(Path(os.environ.get(VARIABLE) or root / ".roadbed").expanduser().resolve())
    site = Site(root, home, port if port is not None else _chosen_port(home))
    _refuse_contradicting_dotenv(site)
    return site


def remember_port(site: Site) -> None:
    """Let later commands find the webserver without being told its port."""
    write_atomic(site.home.run / "port", str(site.port).encode())


def _chosen_port(home: Home) -> int:
    remembered = home.run / "port"
    text = os.environ.get(PORT_VARIABLE) or (remembered.read_text() if remembered.is_file() else str(DEFAULT_PORT))
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise HostError("port-in-use", f"{PORT_VARIABLE}={text!r} is not a port", "set it to a number from 1 to 65535")


def _refuse_contradicting_dotenv(site: Site) -> None:
    """Dagster lets a .env in the checkout override the environment, which would move half of the processes."""
    file = site.root / ".env"
    if not file.is_file():
        return
    from dotenv import dotenv_values

    expected = {VARIABLE: site.home.root, "DAGSTER_HOME": site.home.dagster}
    for name, value in dotenv_values(file).items():
        if name in expected and value is not None and (site.root / value).resolve() != expected[name]:
            raise HostError(
                "home-unusable",
                f"{file} sets {name}={value}, but the state is in {site.home.root}",
                f"remove {name} from .env, or export {VARIABLE} so that both agree",
            )
