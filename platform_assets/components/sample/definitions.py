"""The team's code location: what the components below defs/ declare."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Everything that the team declares, as one asset graph."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
