"""A training again: the recorded commit's code in a folder of its own, in a process of its own, on the recorded rows."""

import os
import subprocess
from pathlib import Path

import msgspec

from formats.canonical import sha256_file
from platform_assets.reproduction.checkout import apply, check_out
from platform_assets.reproduction.environment import LOCK, interpreter, training_environment
from platform_assets.reproduction.outcome import Impossible, Missing
from platform_assets.reproduction.rebuild import ANSWER, ORDER, PAYLOAD, ROWS, Answer, Order
from platform_assets.reproduction.recorded import Recorded
from platform_assets.training.code_closure import REPOSITORY

_MODULE = "platform_assets.reproduction.rebuild"
_LOG = "rebuild.log"
_TAIL = 600


def train_again(record: Recorded, repository: Path, folder: Path, *, install: bool) -> dict[str, bytes]:
    """The payload that comes out, made below `folder`. Raises Impossible with what is missing."""
    checkout = folder / "checkout"
    check_out(repository, record.commit, checkout)
    if record.uncommitted is not None:
        apply(checkout, record.uncommitted)
    python = interpreter(checkout, record.candidate.fingerprint.lock, _lock_here(), install=install)
    (folder / ORDER).write_bytes(msgspec.json.encode(_order(record)))
    record.rows.write_ipc(folder / ROWS)
    answer = _run(python, record, checkout, folder)
    if answer.problem:
        raise Impossible(_unlike(record, answer))
    return {path.name: path.read_bytes() for path in (folder / PAYLOAD).iterdir()}


def _lock_here() -> str:
    path = REPOSITORY / LOCK
    return f"sha256:{sha256_file(path)}" if path.exists() else "none"


def _order(record: Recorded) -> Order:
    candidate = record.candidate
    team, _, model = candidate.model.partition("/")
    return Order(
        team=team,
        model=model,
        rows=candidate.training_set.digest,
        key=candidate.key,
        fingerprint=candidate.fingerprint,
        changed=record.changed,
    )


def _run(python: Path, record: Recorded, checkout: Path, folder: Path) -> Answer:
    log, team = folder / _LOG, record.candidate.model.partition("/")[0]
    with log.open("wb") as sink:
        done = subprocess.run(
            [str(python), "-W", "ignore", "-m", _MODULE, str(os.getpid()), str(folder)],
            cwd=checkout,
            env=training_environment(folder, checkout, team),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    if done.returncode != 0:
        told = f"the training ended with {done.returncode}: {log.read_text(errors='replace').strip()[-_TAIL:]}"
        raise Impossible(Missing("training", told, f"name a folder with --into, and look at {_LOG} there"))
    return msgspec.json.decode((folder / ANSWER).read_bytes(), type=Answer)


def _unlike(record: Recorded, answer: Answer) -> Missing:
    told = ": ".join(filter(None, [answer.problem, ", ".join(answer.differs)]))
    if record.candidate.fingerprint.dirty and record.uncommitted is None:
        told = f"{told}; the checkout had uncommitted changes, which were not kept"
    return Missing("code", told, "train it again from a commit: nothing on record gives this code")
