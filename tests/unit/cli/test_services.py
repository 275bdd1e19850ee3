"""What makes `up` start a service again."""

import sys
from pathlib import Path

import pytest

from formats.home import Home
from platform_assets.cli.services import DAEMON, RUNTIME, central_services, code_servers
from platform_assets.cli.site import Site
from tests.support.documented import ROOT


def fingerprints(site: Site, settings: str = "settings") -> dict[str, str]:
    services = code_servers(site, settings) + central_services(site, settings)
    return {service.name: service.fingerprint for service in services}


def test_other_packages_start_everything_of_dagster_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.run.mkdir()
    site = Site(ROOT, home)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    stamp = tmp_path / ".roadbed-lock"
    stamp.write_text("one lock")
    before = fingerprints(site)
    assert fingerprints(site) == before
    stamp.write_text("another lock")
    changed = {name for name, fingerprint in fingerprints(site).items() if fingerprint != before[name]}
    assert changed == before.keys() - {RUNTIME}


def test_other_settings_of_the_instance_do_so_too(home: Home) -> None:
    home.run.mkdir()
    site = Site(ROOT, home)
    before, after = fingerprints(site), fingerprints(site, "other settings")
    assert before[DAEMON] != after[DAEMON]
    assert before["code-aviation"] != after["code-aviation"]
    assert before[RUNTIME] == after[RUNTIME]
