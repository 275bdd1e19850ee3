"""A rollout that fails because of the machine: the release is not to blame, and is rolled out once the machine allows."""

import socket
from pathlib import Path

import pytest

from formats.errors import EndpointError
from platform_assets.endpoints.rollout import roll_out
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.live import live_release, pointers
from resources.installation import installation_at
from tests.support.promotion_case import ENDPOINT, GOOD, World

pytestmark = pytest.mark.service


def test_a_taken_port_condemns_no_bundle(tmp_path: Path) -> None:
    world = World(tmp_path)
    installation, authority = installation_at(world.home), LocalAuthority(world.home)
    authority.initialise()
    issued = authority.decide(world.propose(GOOD), "prod", ENDPOINT, actor="tester").issued
    assert issued is not None
    port = world.home.endpoint(ENDPOINT) / "port"
    port.parent.mkdir(parents=True)
    try:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            port.write_text(str(stranger.getsockname()[1]))
            with pytest.raises(EndpointError, match="taken by another process") as caught:
                roll_out(installation, authority, pointers(installation).release(issued.release))
        assert caught.value.code == "port-in-use"
        waiting = pointers(installation)
        assert (waiting.release(issued.release).state, waiting.barred) == ("rolling", frozenset())
        roll_out(installation, authority, waiting.release(issued.release))
        assert live_release(installation, ENDPOINT).bundle == issued.bundle
    finally:
        installation.runtime.stop()  # type: ignore[attr-defined]
