"""Team aviation's code location."""

import dagster as dg

from aviation.team import TEAM
from platform_assets import team_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Everything that the team declares, as one asset graph."""
    return team_definitions(TEAM)
