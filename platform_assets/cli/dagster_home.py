"""DAGSTER_HOME of an installation: the checkout's dagster.yaml with this home's places."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from formats.canonical import sha256_hex
from formats.durable import write_atomic
from formats.home import Home
from platform_assets.cli.site import Site

if TYPE_CHECKING:
    from dagster import DagsterInstance

# Relative in the checkout's file, so that plain `dagster dev` finds the default home; Dagster's defaults below
# DAGSTER_HOME are the same folders.
_PLACES = ("local_artifact_storage", "compute_logs")


def instance_config(root: Path, home: Home) -> bytes:
    """The dagster.yaml that belongs into DAGSTER_HOME."""
    settings = yaml.safe_load((root / "dagster.yaml").read_text())
    kept = {name: value for name, value in settings.items() if name not in _PLACES}
    if embedded := kept["storage"].get("custom"):
        embedded["config"]["base_dir"] = str(home.dagster)
    return b"# Copied from the checkout's dagster.yaml by `roadbed up`.\n" + yaml.safe_dump(kept).encode()


def prepare_dagster_home(site: Site) -> str:
    """Write DAGSTER_HOME's dagster.yaml if it differs; the digest of what it says."""
    wanted = instance_config(site.root, site.home)
    file = site.home.dagster / "dagster.yaml"
    if not file.is_file() or file.read_bytes() != wanted:
        write_atomic(file, wanted)
    return sha256_hex(wanted)


@contextmanager
def open_instance(site: Site) -> Iterator["DagsterInstance"]:
    """The Dagster instance of the installation, for this process to read runs and assets."""
    from dagster import DagsterInstance

    prepare_dagster_home(site)
    os.environ["DAGSTER_HOME"] = str(site.home.dagster)
    with DagsterInstance.from_config(str(site.home.dagster)) as instance:
        yield instance
