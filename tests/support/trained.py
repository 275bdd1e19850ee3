"""Trains a scaffolded team's model with the code of the checkout that this runs in, and proposes it: all that a record is made of.

python -m tests.support.trained HOME     prints the digest of the bundle
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from formats.clock import advance_clock
from formats.home import Home
from platform_assets.cli.contracts import teams
from platform_assets.datasets.assets import training_window
from platform_assets.datasets.build import labelled
from platform_assets.promotion.candidate import Candidate, record_candidate
from platform_assets.promotion.keys import create_key
from platform_assets.team import Model, Team
from platform_assets.training.build import Material, build, learned_contract
from platform_assets.training.kept_code import take_code
from platform_assets.training.uncommitted import ATTESTATION
from resources.installation import Installation, installation_at
from resources.lake import Part
from resources.table_ref import TableRef

TEAM = "drizzle"
MODEL = f"{TEAM}/shower"
CUTOFF = "2013-01-01"
NOW = datetime(2013, 3, 1, 5, tzinfo=UTC)


def trained(home: Home, root: Path) -> str:
    """The bundle of the month that `CUTOFF` names, a candidate in the ledger of `home`."""
    team = next(team for team, _ in teams(root, only=TEAM))
    (model,) = team.models
    installation = installation_at(home)
    advance_clock(home.clock, NOW)
    create_key(home)
    data = _training_set(team, model, installation)
    frame = installation.lake.read(data, model.training_set.key)
    code = take_code(TEAM, model)
    contract = learned_contract(model.contract(TEAM), frame)
    bundle = installation.bundles.put(build(model, contract, Material.of(model.training_set, frame)).payload)
    kept = code.keep(installation.bundles, bundle)
    candidate = Candidate(
        model=MODEL,
        bundle=bundle,
        partition=CUTOFF,
        cutoff=team.calendar.month_end(CUTOFF),
        fingerprint=code.fingerprint,
        training_set=data,
        evaluation_set=data,
        key=model.training_set.key,
        time_column=model.training_set.spine.prediction_time,
        label=model.training_set.label.column,
        judged_from=team.calendar.month_end(CUTOFF),
        judged_until=team.calendar.month_end(CUTOFF, 2),
        attestations={} if kept is None else {ATTESTATION: kept},
        gates=model.gates,
    )
    record_candidate(installation.ledger, candidate, actor="test", at=NOW)
    return bundle


def _training_set(team: Team, model: Model, installation: Installation) -> TableRef:
    dataset, table = model.training_set, f"{MODEL}/training_set"
    if CUTOFF not in installation.lake.digests(table):
        start, end = (instant.astimezone(UTC) for instant in training_window(team.calendar, dataset, CUTOFF))
        before = start - timedelta(days=1)
        raw = {each.name: each.read(before, end) for each in team.raw_tables if each.read is not None}
        views: dict[str, pl.LazyFrame] = {view.name: view.compute(raw, before, end) for view in team.views}
        rows = labelled(dataset, {**raw, **views}, start, end).frame
        installation.lake.replace(table, {CUTOFF: Part.of(rows, dataset.key)})
    return installation.lake.ref(table, CUTOFF)


if __name__ == "__main__":
    sys.stdout.write(trained(Home(Path(sys.argv[1])), Path.cwd()))
