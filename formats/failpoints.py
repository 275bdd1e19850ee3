"""Places where a process can be killed on purpose, so that tests show what a rerun makes of it.

Each write passes one. The registry below is the whole list: passing a name that is not in it is an error, and a name without a
kill test fails the suite. A failpoint is armed by the environment, for one process tree:

    ROADBED_FAILPOINT=ledger.before_commit        kill -9 at the first passage
    ROADBED_FAILPOINT=table.after_commit:3        at the third
"""

import os
import signal
from typing import Literal, get_args

Failpoint = Literal[
    "file.before_rename",
    "file.after_rename",
    "table.before_commit",
    "table.after_commit",
    "object.before_put",
    "object.after_put",
    "bundle.before_rename",
    "bundle.after_rename",
    "attestation.before_store",
    "attestation.before_again",
    "import.before_point",
    "ledger.before_commit",
    "ledger.after_commit",
    "anchor.before_write",
    "online_store.before_commit",
    "online_store.after_commit",
    "online_store.before_exchange",
    "online_store.within_exchange",
    "authority.after_decision",
    "authority.after_signing",
    "endpoint.after_desired",
    "endpoint.after_stable",
    "endpoint.after_live",
    "prediction_log.before_ingest",
    "prediction_log.after_ingest",
    "retention.before_removal",
    "retention.after_removal",
    "erasure.after_order",
    "erasure.after_commit",
    "erasure.after_table",
    "erasure.after_log",
]

FAILPOINTS: tuple[Failpoint, ...] = get_args(Failpoint)

VARIABLE = "ROADBED_FAILPOINT"

_passages: dict[str, int] = {}


def failpoint(name: Failpoint) -> None:
    """Kill this process with SIGKILL if `name` is armed and this is the armed passage."""
    armed = os.environ.get(VARIABLE)
    if armed is None:
        return
    wanted, _, count = armed.partition(":")
    if wanted != name:
        return
    _passages[name] = _passages.get(name, 0) + 1
    if _passages[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
