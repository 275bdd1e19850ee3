"""A new team's project, for the tests of what its YAML becomes."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.components.scaffolding import new_team

TEAM = "drizzle"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new team, which can be imported."""
    folder = new_team(tmp_path, TEAM)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == TEAM]:
        del sys.modules[name]
    importlib.invalidate_caches()
