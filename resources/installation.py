"""The installation as one Dagster resource: the handles that assets share, built from the state folder."""

from functools import cached_property
from pathlib import Path

import dagster as dg

from formats.home import Home, current_home
from resources.bundle_store import BundleStore, FileBundleStore
from resources.clock import Clock
from resources.endpoint_runtime import EndpointRuntime
from resources.lake import Lake
from resources.lake_places import open_lake
from resources.ledger import Ledger
from resources.ledger_places import open_ledger
from resources.local_endpoint_runtime import LocalEndpointRuntime
from resources.online_places import open_online_store
from resources.online_store import OnlineStore


class Installation(dg.ConfigurableResource[None]):
    """Lake, bundles, ledger, clock, online store and endpoint runtime of one Roadbed installation.

    `folder` is the installation's home; the environment names it when it is empty.
    """

    folder: str = ""

    @cached_property
    def home(self) -> Home:
        """Where the state is."""
        return Home(Path(self.folder)) if self.folder else current_home()

    @cached_property
    def clock(self) -> Clock:
        """What time it is."""
        return Clock(self.home.clock)

    @cached_property
    def lake(self) -> Lake:
        """Tables."""
        return open_lake(self.home)

    @cached_property
    def bundles(self) -> BundleStore:
        """Models as data."""
        return FileBundleStore(self.home.bundles)

    @cached_property
    def ledger(self) -> Ledger:
        """The evidence."""
        return open_ledger(self.home)

    @cached_property
    def online_store(self) -> OnlineStore:
        """Features for requests."""
        return open_online_store(self.home)

    @cached_property
    def runtime(self) -> EndpointRuntime:
        """Where endpoints run."""
        return LocalEndpointRuntime(self.home)


def installation_at(home: Home) -> Installation:
    """The installation in `home`, for commands and tests."""
    return Installation(folder=str(home.root))
