"""Evaluations in the ledger: anyone may append one, and what cannot be read stops nobody."""

from pathlib import Path

from platform_assets.promotion.candidate import Evaluation, evaluations, record_evaluation
from platform_assets.promotion.sensors import newest_evaluated
from resources.installation import installation_at
from tests.support.ledgers import append_rubbish
from tests.support.promotion_case import CUTOFF, MODEL, World


def test_the_newest_evaluation_is_the_newest_that_can_be_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    entry = world.record("sha256:a")
    found = Evaluation(candidate=entry.id, bundle="sha256:a", champion=None, results=())
    record_evaluation(world.ledger, found, actor="training", at=CUTOFF)
    append_rubbish(world.ledger, "sha256:a")
    assert list(evaluations(world.ledger)) == list(evaluations(world.ledger, "sha256:a")) == [found]
    assert newest_evaluated(installation_at(world.home), MODEL) == "sha256:a"
    assert newest_evaluated(installation_at(world.home), "aviation/other") is None
