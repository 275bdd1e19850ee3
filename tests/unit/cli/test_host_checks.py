"""A machine that cannot run Roadbed says so in one sentence."""

import errno
import os
import shutil
import socket
from pathlib import Path

import pytest

from formats.errors import HostError
from formats.home import Home
from platform_assets.cli import host_checks


def test_a_port_in_use_names_who_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HostError) as raised:
            host_checks.check_port("127.0.0.1", port)
    assert raised.value.code == "port-in-use"
    assert f"port {port}" in raised.value.message
    assert f"process {os.getpid()}" in raised.value.message
    host_checks.check_port("127.0.0.1", port)


def test_a_full_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home.root)._replace(free=300 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(HostError, match=r"0\.3 GiB free") as raised:
        host_checks.check_disk(home.root)
    assert raised.value.code == "disk-full"


def test_a_disk_that_is_full_while_writing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(HostError) as raised:
        host_checks.prepare_home(home)
    assert raised.value.code == "disk-full"


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be written") as raised:
        host_checks.prepare_home(Home(tmp_path / "file" / "home"))
    assert raised.value.code == "home-unusable"


def test_a_good_home_is_prepared(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home")
    host_checks.prepare_home(home)
    host_checks.prepare_home(home)
    assert home.logs.is_dir()
    assert list(home.run.iterdir()) == []
