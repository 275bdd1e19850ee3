"""The platform's own code location: the ledger as an asset, the watch over it, and the reaper."""

import dagster as dg

from formats.prepared import prepare_types
from platform_assets.code_location import automation_sensor, shared_resources
from platform_assets.monitoring.watch_sensors import ledger_watch, reaper_sensor


@dg.definitions
def defs() -> dg.Definitions:
    """What runs for every team."""
    prepare_types()  # the code server evaluates sensors in threads
    ledger, check, watch = ledger_watch()
    return dg.Definitions(
        assets=[ledger],
        asset_checks=[check],
        sensors=[watch, reaper_sensor(), automation_sensor()],
        resources=shared_resources(),
        executor=dg.in_process_executor,
    )
