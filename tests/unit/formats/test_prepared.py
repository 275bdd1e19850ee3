"""Threads that use a type of msgspec for the first time at once; unprepared, half of these processes end with SIGSEGV."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

AT_ONCE = """
import sys, threading
from pathlib import Path
from platform_assets.promotion.policy import load_policy
{preparing}
sys.setswitchinterval(1e-6)
barrier, seen = threading.Barrier(8), []
def use():
    barrier.wait()
    seen.append(load_policy("prod").version)
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(seen))
"""
PREPARING = {
    "by itself": "from formats.prepared import prepare_types; prepare_types()",
    "the authority's service": "from formats.home import Home\n"
    "from platform_assets.promotion.authority_service import AuthorityService\n"
    "AuthorityService(Home(Path('unused')), ('127.0.0.1', 0)).server_close()",
    "a code location": "from platform_assets.platform_location import defs; defs(None)",
}


@pytest.mark.parametrize("preparing", PREPARING.values(), ids=PREPARING)
def test_prepared_types_can_be_used_at_once(preparing: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", AT_ONCE.format(preparing=preparing)]
    for _ in range(4):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "8"), done.stderr
