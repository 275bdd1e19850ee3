"""Team vision's code location."""

import dagster as dg

from platform_assets import team_definitions
from vision.team import TEAM


@dg.definitions
def defs() -> dg.Definitions:
    """Everything that the team declares, as one asset graph."""
    return team_definitions(TEAM)
