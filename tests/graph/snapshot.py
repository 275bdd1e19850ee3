"""The asset graph as text: what a change of declarations changes, shown in a review.

PYTHONPATH=$(echo team_projects/* | tr ' ' :) python -m tests.graph.snapshot      writes asset_graph.json again
"""

import importlib
import json
from pathlib import Path
from typing import Any

import dagster as dg

from platform_assets.cli.workspace import locations
from tests.support.processes import ROOT

FILE = Path(__file__).with_name("asset_graph.json")


def definitions() -> dict[str, dg.Definitions]:
    """Those of every code location, by its name."""
    return {at.name: importlib.import_module(at.module).defs(None) for at in locations(ROOT)}


def snapshot() -> str:
    """Every asset with its facets, every check, job and sensor, as sorted JSON."""
    document = {name: _location(defs) for name, defs in definitions().items()}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def keys_of(location: str) -> list[str]:
    """The assets of a code location, as the file has them."""
    return [*json.loads(FILE.read_text())[location]["assets"]]


def _location(defs: dg.Definitions) -> dict[str, object]:
    graph = defs.resolve_asset_graph()
    return {
        "assets": {key.to_user_string(): _asset(graph.get(key)) for key in graph.get_all_asset_keys()},
        "jobs": sorted(job.name for job in defs.jobs or ()),
        "sensors": {sensor.name: sensor.default_status.value for sensor in defs.sensors or ()},
    }


def _asset(node: Any) -> dict[str, object]:
    partitions = node.partitions_def
    return {
        "after": sorted(key.to_user_string() for key in node.parent_keys),
        "group": node.group_name,
        "kinds": sorted(node.kinds),
        "owners": sorted(node.owners),
        "checks": sorted(check.name for check in node.check_keys),
        "partitions": None if partitions is None else type(partitions).__name__,
        "described": bool(node.description),
        "executable": node.is_executable,
    }


if __name__ == "__main__":
    FILE.write_text(snapshot())
