"""The road: what the platform adds to bare Dagster in loading and in a step, and where the time of a first journey goes.

make bench NAME=road        with ROADBED_HOME naming an installation after `make up`, the journey's stages are reported too
"""

import dataclasses
import os
import time
from contextlib import redirect_stderr
from datetime import UTC, date
from pathlib import Path
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl
from aviation.team import DEPARTURE_DELAY, TEAM

from benchmarks.first_journey import first_journey, shares_of, steps_within
from benchmarks.report import Row, compared, interleaved, write
from formats.home import VARIABLE, current_home
from platform_assets.calendar import Calendar
from platform_assets.code_location import team_definitions
from platform_assets.contracts.spec import Contract
from platform_assets.datasets.build import labelled
from platform_assets.datasets.parts import examples
from platform_assets.features.assets import raw_table_assets
from platform_assets.features.spec import RawTable
from platform_assets.ownership import Owner
from platform_assets.training.baselines import gradient_boosting
from platform_assets.training.build import learned_contract
from platform_assets.training.folds import train_folds, training_data
from resources.installation import Installation

STEPS = 20


class Tiny(pa.DataFrameModel):
    """One column."""

    key: int


def team(models: int) -> dg.Definitions:
    """A location of so many models."""
    named = tuple(dataclasses.replace(DEPARTURE_DELAY, name=f"model_{number}") for number in range(models))
    defs = team_definitions(dataclasses.replace(TEAM, models=named))
    defs.get_repository_def()
    return defs


def bare(like: dg.Definitions) -> dg.Definitions:
    """Bare Dagster assets with the same keys, dependencies, partitions and checks."""
    graph = like.resolve_asset_graph()
    assets = [_bare_asset(key, graph.get(key)) for key in graph.get_all_asset_keys()]
    defs = dg.Definitions(assets=assets)
    defs.get_repository_def()
    return defs


def _bare_asset(key: dg.AssetKey, node: Any) -> dg.AssetsDefinition:  # noqa: ANN401 - Dagster does not export the type of a node
    checks = [dg.AssetCheckSpec(check.name, asset=key) for check in node.check_keys]
    deps = [dg.AssetDep(parent, partition_mapping=dg.AllPartitionMapping()) for parent in node.parent_keys]

    @dg.asset(key=key, deps=deps, check_specs=checks, partitions_def=node.partitions_def)
    def body() -> dg.MaterializeResult: ...

    return body


def loading(models: int, target: float) -> Row:
    """Building a location of so many models against bare definitions of as many assets and checks."""
    like = team(models)
    subjects = {"ours": lambda: team(models), "peer": lambda: bare(like)}
    return compared(f"definitions of {models} models", interleaved(subjects, rounds=3), target)


def stepping(target: float) -> list[Row]:
    """A step of a raw table without I/O against a bare asset, and against one that reports as much: rows and one check."""
    owner = Owner("bench", "team:bench", Calendar("UTC", date(2013, 1, 1), date(2013, 1, 2)))
    frame = pl.LazyFrame({"key": [1]})
    tables = [RawTable(f"t{n}", Contract(Tiny, ("key",)), "tiny", read_whole=lambda: frame) for n in range(STEPS)]
    ours = [raw_table_assets(owner, table)[0] for table in tables]
    peers = {
        "a step without I/O, against a bare asset": [dg.asset(name=f"t{n}")(lambda: None) for n in range(STEPS)],
        "the same, against one that reports rows and a check": [_bare_step(f"t{n}") for n in range(STEPS)],
    }
    resources = {"installation": Installation(), "tables": dg.mem_io_manager}

    def run(assets: list[Any], bound: dict[str, Any]) -> None:
        # Each run makes a console logger of its own on the stderr of that moment: written, as in a real run, but not shown.
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stderr(nowhere),
            dg.DagsterInstance.ephemeral() as instance,
        ):
            assert dg.materialize(assets, resources=bound, instance=instance).success

    def against(figure: str, peer: list[Any]) -> Row:
        subjects = {"ours": lambda: run(ours, resources), "peer": lambda: run(peer, {})}
        return compared(figure, interleaved(subjects), target, per=STEPS)

    return [against(figure, peer) for figure, peer in peers.items()]


def _bare_step(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name, check_specs=[dg.AssetCheckSpec("contract", asset=name)])
    def body() -> dg.MaterializeResult:
        result = dg.AssetCheckResult(check_name="contract", passed=True)
        return dg.MaterializeResult(metadata={"dagster/row_count": 1}, check_results=[result])

    return body


def journey() -> list[Row]:
    """Where the wall time from `make up` to the first prediction went: the shares of the bare functions, ours and Dagster's, which
    make 1, and of each stage.
    """
    if VARIABLE not in os.environ:
        return []
    home = current_home()
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    window = first_journey(home)
    with dg.DagsterInstance.get() as instance:
        steps = steps_within(instance, window)
    shares = shares_of(window, steps, bare_functions())
    return [Row(figure=name, unit="share of the wall time", ours=share) for name, share in shares.items()]


def bare_functions() -> float:
    """Wall seconds of what the first journey computes, called directly: views, datasets, training, baselines."""
    began = time.perf_counter()
    dataset, calendar = DEPARTURE_DELAY.training_set, TEAM.calendar
    instants = (calendar.start("2013-01-01"), calendar.month_end("2013-03-01"), calendar.month_end("2013-03-01", 2))
    start, cutoff, end = (instant.astimezone(UTC) for instant in instants)
    tables = {table.name: table.read(start, end).collect().lazy() for table in TEAM.raw_tables if table.read}
    tables |= {view.name: view.compute(tables, start, end).collect().lazy() for view in TEAM.views}
    training, holdout = (labelled(dataset, tables, *window).frame for window in ((start, cutoff), (cutoff, end)))
    contract = learned_contract(dataset.contract(TEAM.name, DEPARTURE_DELAY.name), training)
    label = dataset.label.column
    train_folds(DEPARTURE_DELAY.trainer, contract, label, examples(dataset, training))
    gradient_boosting(*(training_data(contract, label, part) for part in (training, holdout)))
    return time.perf_counter() - began


if __name__ == "__main__":
    write("road", [loading(1, 1.5), loading(100, 1.5), *stepping(1.5), *journey()])
