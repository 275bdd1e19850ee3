"""A sweep and the authority at the same time, as processes: whatever comes first, no bundle that is approved is removed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from formats.errors import LedgerError, PromotionError
from formats.failpoints import VARIABLE
from platform_assets.promotion.evidence import evidence_of
from platform_assets.promotion.service_client import authority_of
from platform_assets.retention.condemned import open_sweeps
from platform_assets.retention.sweep import sweep
from tests.support.ledgers import AT
from tests.support.processes import ROOT, eventually
from tests.support.promotion_case import ENDPOINT
from tests.unit.retention.test_retention import LATER, SWEEP, Kept, built, kept

__all__ = ["built", "kept"]

KILLED = -9

# The sweep stands still between its row in the ledger and the first removal, until it is let go on.
PAUSED = SWEEP.replace(
    "sweep(installation",
    """
import platform_assets.retention.sweep as module
import signal, os
real, paused = module._remove, []
def paused_once(*arguments):
    if not paused:
        paused.append(True)
        (home.root / "paused").touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    real(*arguments)
module._remove = paused_once
sweep(installation""",
)


def begun(kept: Kept) -> "subprocess.Popen[bytes]":
    """A sweep that has begun by the ledger, and removed nothing yet."""
    process = subprocess.Popen([sys.executable, "-c", PAUSED, str(kept.home.root), LATER.isoformat()], cwd=ROOT)
    eventually((kept.home.root / "paused").exists)
    return process


def decided(kept: Kept) -> str:
    """What the authority's own process says about the bundle that goes: a verdict, or the code of its refusal."""
    try:
        return authority_of(kept.home).decide(kept.first, "prod", ENDPOINT, actor="test").verdict
    except PromotionError as error:
        return error.code


def test_what_is_being_removed_is_not_approved(kept: Kept) -> None:
    assert kept.first in kept.going()
    process = begun(kept)
    try:
        assert decided(kept) == "candidate-refused"
        assert kept.first in kept.stored(), "it was there, and would have been approved"
        with pytest.raises(LedgerError, match="under way"):
            sweep(kept.installation, kept.plan(), actor="another")
    finally:
        process.send_signal(signal.SIGCONT)
        assert process.wait(120) == 0
    assert (kept.first in kept.stored(), open_sweeps(kept.ledger)) == (False, ())
    assert evidence_of(kept.home).report.ok


def test_what_was_approved_is_not_removed(kept: Kept) -> None:
    plan = kept.plan()
    assert decided(kept) == "approved"
    with pytest.raises(LedgerError, match="went on"):
        sweep(kept.installation, plan, actor="test")
    assert (kept.first in kept.stored(), kept.first in kept.going()) == (True, False)


@pytest.mark.kill
def test_a_killed_sweep_keeps_its_bundles_from_release_until_the_next_ends_it(kept: Kept) -> None:
    command = [sys.executable, "-c", SWEEP, str(kept.home.root), LATER.isoformat()]
    environment = os.environ | {VARIABLE: "retention.before_removal"}
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False).returncode == KILLED
    assert decided(kept) == "candidate-refused"
    # The next one is told to keep it: then it is free again, and nothing of it is lost.
    kept.home.retention_settings.write_text("releases: 3\npredictions_days: 3000\ncandidates_days: 3000\n")
    roadbed = [sys.executable, "-m", "platform_assets.cli.main", "retention", "--apply"]
    done = subprocess.run(
        roadbed, cwd=ROOT, env=os.environ | {"ROADBED_HOME": str(kept.home.root)}, timeout=300, check=False
    )
    assert (done.returncode, open_sweeps(kept.ledger)) == (0, ())
    assert decided(kept) == "approved"


@pytest.mark.attack
def test_rubbish_in_a_row_of_a_sweep_condemns_nothing(kept: Kept) -> None:
    for body in ({}, {"pieces": 7}, {"pieces": [7, {"kind": "bundle"}, {"kind": "log", "name": kept.first}]}):
        kept.ledger.append(
            kind="retention",
            subject="installation",
            inputs={"rubbish": json.dumps(body)},
            body=body,
            actor="team",
            at=AT,
        )
    assert decided(kept) == "approved"
