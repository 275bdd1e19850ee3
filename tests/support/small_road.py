"""A short road on real flights: January is trained on, February judges; one epoch, so that a candidate takes seconds."""

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from aviation.network import build
from aviation.team import DEPARTURE_DELAY, TEAM

from formats.clock import advance_clock
from formats.home import Home
from platform_assets.code_location import team_definitions
from platform_assets.promotion.spec import AnyGate, MetricFloor
from platform_assets.training.spec import TorchTrainer
from resources.installation import Installation, installation_at
from tests.support.dagster_settings import instance_settings

CUTOFF = "2013-01-01"
FIRST, LAST = "2013-01-01", "2013-02-28"
NOW = datetime(2013, 3, 1, 5, tzinfo=UTC)
ENDPOINT = DEPARTURE_DELAY.endpoint(TEAM.name)
UNREACHABLE = MetricFloor(metric="auc", minimum=0.999, reason="no forecast of delays is this good")

TRAINING = "departure_delay_training"
STAGING = "departure_delay_staging"
PROD = "departure_delay_prod"


def definitions(gates: Sequence[AnyGate] = (), seed: int = 0, **changes: Any) -> dg.Definitions:
    """The team's definitions with a quick trainer and these gates on top of the policy's; another seed gives another bundle.

    `changes` are of the model's other fields. It has no search, whose space would have to fit any trainer.
    """
    trainer = TorchTrainer(build, epochs=1, seed=seed)
    model = dataclasses.replace(
        DEPARTURE_DELAY, **{"trainer": trainer, "search": None, "gates": tuple(gates), **changes}
    )
    return team_definitions(dataclasses.replace(TEAM, models=(model,)))


class SmallRoad:
    """An installation in `root` and Dagster on it, in this process."""

    def __init__(self, root: Path, defs: dg.Definitions) -> None:
        self.home = Home(root)
        self.defs = defs
        self.home.dagster.mkdir(parents=True, exist_ok=True)
        (self.home.dagster / "dagster.yaml").write_text(instance_settings(self.home))
        self.instance = dg.DagsterInstance.from_config(str(self.home.dagster))

    @property
    def installation(self) -> Installation:
        """The handles of the installation."""
        return installation_at(self.home)

    def set_clock(self, instant: datetime) -> None:
        """Move the replay on."""
        advance_clock(self.home.clock, instant)

    def run(self, job: str, *, days: tuple[str, str] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        """Run a job here; failed steps are the caller's to look at."""
        if days is not None:
            names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
            options["tags"] = {**options.get("tags", {}), **dict(zip(names, days, strict=True))}
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )

    def take_in(self, first: str = FIRST, last: str = LAST) -> None:
        """Let the days arrive, and put the newest features where endpoints read them."""
        assert self.run("aviation_arrivals", days=(first, last)).success
        assert self.materialize(TEAM.name, "online_store")

    def materialize(self, *key: str, **options: Any) -> bool:
        """Run one asset alone, as a click does."""
        job = dg.define_asset_job("one", dg.AssetSelection.assets(dg.AssetKey(list(key))))
        resolved = dg.Definitions.merge(self.defs, dg.Definitions(jobs=[job])).resolve_job_def("one")
        return resolved.execute_in_process(instance=self.instance, raise_on_error=False, **options).success

    def train(self, partition: str = CUTOFF) -> dg.ExecuteInProcessResult:
        """Training set, model and evaluation of a cutoff."""
        return self.run(TRAINING, partition_key=partition)

    def rehearse(self) -> dg.ExecuteInProcessResult:
        """Release, endpoint and rehearsal in staging."""
        return self.run(STAGING)

    def promote(self) -> dg.ExecuteInProcessResult:
        """Release and endpoint in production, after a rehearsal."""
        return self.run(PROD)

    def rest(self) -> None:
        """Stop the endpoints, so that the folder can be copied."""
        self.installation.runtime.stop()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Stop what runs."""
        self.instance.dispose()
        self.rest()


def copy_of(road: SmallRoad, root: Path, defs: dg.Definitions) -> SmallRoad:
    """The same state in another folder; its endpoints take ports of their own."""
    shutil.copytree(road.home.root, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("port"))
    return SmallRoad(root, defs)
