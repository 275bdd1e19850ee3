"""The state of an installation: one folder, `ROADBED_HOME` (default `.roadbed/`). Deleting it loses state and nothing else.

clock.json                        the clock (absent: wall time)
dagster/  mlflow/                 their SQLite files
lake/<team>/<table>/              Delta tables
bundles/<hex>/                    bundles by digest
    releases/<endpoint>/<n>.json      signed release documents by sequence
ledger/ledger.sqlite              the ledger; ledger/anchor.json its signed head
authority/key.pem key.pub         the authority's key pair; trusted/ revoked its earlier keys; authority.yaml where things are
storage.yaml                      where tables are, if not in lake/
online/  online.yaml              the online store, and where it is if not there
retention.yaml                    how long things are kept, if not the default
endpoints/<team>/<model>/<env>/   release.json (desired), observed.json, keys.json, usage.json, server logs, spool/ (prediction log)
searches/<team>/<model>/          trials of searches for better settings: what was tried, and how good it was
reproductions/                    trainings done again, each gone when it is compared
logs/  run/                       logs, pid files and sockets of what `roadbed up` started
"""

import os
from pathlib import Path
from typing import NamedTuple

VARIABLE = "ROADBED_HOME"


class Home(NamedTuple):
    """Paths below one installation's state folder.

    `own` is the folder that the authority's service keeps for itself (None: `authority/` in the home).
    """

    root: Path
    own: Path | None = None

    @property
    def clock(self) -> Path:
        """The clock document."""
        return self.root / "clock.json"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlflow"

    @property
    def lake(self) -> Path:
        """Delta tables."""
        return self.root / "lake"

    @property
    def bundles(self) -> Path:
        """Bundles by digest."""
        return self.root / "bundles"

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.root / "ledger" / "ledger.sqlite"

    @property
    def anchor(self) -> Path:
        """The ledger's signed head."""
        return self.root / "ledger" / "anchor.json"

    @property
    def authority(self) -> Path:
        """The authority's keys and settings; `key.pem` is readable by the authority alone."""
        return self.own or self.root / "authority"

    @property
    def online(self) -> Path:
        """The online store."""
        return self.root / "online"

    @property
    def online_settings(self) -> Path:
        """Where the online store is, if not there."""
        return self.root / "online.yaml"

    @property
    def storage_settings(self) -> Path:
        """Where tables are, if not in the home."""
        return self.root / "storage.yaml"

    @property
    def retention_settings(self) -> Path:
        """How long things are kept."""
        return self.root / "retention.yaml"

    @property
    def searches(self) -> Path:
        """The trials of searches for better settings."""
        return self.root / "searches"

    @property
    def reproductions(self) -> Path:
        """Where trainings are done again."""
        return self.root / "reproductions"

    @property
    def logs(self) -> Path:
        """Logs of what `roadbed up` started."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Pid files and sockets."""
        return self.root / "run"

    def endpoint(self, endpoint: str) -> Path:
        """The folder of `<team>/<model>/<environment>/endpoint`."""
        return self.root / "endpoints" / endpoint.removesuffix("/endpoint")


def current_home() -> Home:
    """The home that the environment names, or `.roadbed` in the checkout around the working directory.

    `dg` works in a team's folder and `dagster dev` in the checkout's root; both mean the same home.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Home(Path(named).resolve())
    here = Path.cwd()
    checkout = next((folder for folder in (here, *here.parents) if (folder / "workspace.yaml").is_file()), here)
    return Home(checkout / ".roadbed")
