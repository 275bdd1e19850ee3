"""An installation whose authority is a service: with a folder of its own, a policy, and a caller's folder beside it."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from formats.home import Home
from platform_assets.promotion.messages import Decided
from tests.support.promotion_case import ENDPOINT, World, install_policy, one_environment
from tests.support.services import Service, authority_service

VERIFY = b'{"request": "verify"}'


class Place(World):
    """An installation whose authority keeps a folder of its own."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "home")
        self.folder = root / "caller"
        self.folder.mkdir()
        self.home = Home(self.home.root, root / "own")
        install_policy(self.home, one_environment())

    def serving(self, failpoint: str | None = None) -> AbstractContextManager[Service]:
        return authority_service(self.home, self.folder, failpoint=failpoint)

    def decide(self, service: Service, bundle: str) -> Decided:
        return service.authority.decide(bundle, "prod", ENDPOINT, actor="somebody else")


@contextmanager
def begun(service: Service, headers: str) -> Iterator[socket.socket]:
    """A request of which only the beginning was sent."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"POST /v1/requests HTTP/1.1\r\n{headers}".encode())
        yield connection
