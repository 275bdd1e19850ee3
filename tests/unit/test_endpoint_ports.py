"""Which ports endpoints take."""

import socket
from pathlib import Path

import pytest

from formats.errors import HostError
from resources.server_process import PORTS_VARIABLE, ServerProcess, port_range


def test_the_range_is_the_installations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PORTS_VARIABLE, "9000-9002")
    assert list(port_range()) == [9000, 9001, 9002]
    monkeypatch.delenv(PORTS_VARIABLE)
    assert port_range() == range(8801, 9801)


@pytest.mark.parametrize("text", ["9000", "9002-9000", "0-10", "1-65536", "a-b", "9000 - 9001", "-1-5"])
def test_what_is_no_range_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(PORTS_VARIABLE, text)
    with pytest.raises(HostError, match="no range of ports") as caught:
        port_range()
    assert caught.value.code == "port-in-use"


def test_a_range_without_a_free_port_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv(PORTS_VARIABLE, f"{port}-{port}")
        with pytest.raises(HostError, match=f"no port from {port} to {port} is free"):
            ServerProcess(tmp_path, "rail/delay/prod/endpoint", tmp_path).start(taken=())
    assert not (tmp_path / "port").exists()
