"""The dagster.yaml of an installation without services: the storage of the real one, and nothing else."""

import yaml

from formats.home import Home
from tests.support.processes import ROOT


def instance_settings(home: Home) -> str:
    """Its text."""
    storage = yaml.safe_load((ROOT / "dagster.yaml").read_text())["storage"]
    storage["custom"]["config"]["base_dir"] = str(home.dagster)
    return yaml.safe_dump({"storage": storage, "telemetry": {"enabled": False}})
