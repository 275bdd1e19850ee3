"""An installation for the authority's service, and the service, for the modules that ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.authority_place import Place
from tests.support.services import Service


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def service(place: Place) -> Iterator[Service]:
    with place.serving() as running:
        running.authority.initialise()
        yield running
