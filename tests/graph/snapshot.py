"""The asset graph as text: what a change of declarations changes, shown in a review.

PYTHONPATH=team_projects/aviation python -m tests.graph.snapshot      writes asset_graph.json again
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
from aviation.definitions import defs as aviation

from platform_assets.platform_location import defs as platform

FILE = Path(__file__).with_name("asset_graph.json")


def snapshot() -> str:
    """Every asset with its facets, every check, job and sensor, as sorted JSON."""
    document = {"aviation": _location(aviation(None)), "platform": _location(platform(None))}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


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
