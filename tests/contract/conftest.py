"""The places that one suite runs on: a folder of this machine, and a real S3-compatible server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from formats.home import Home
from formats.identifiers import uuid7
from tests.support.object_store import ObjectStore, object_store


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("objects")) as store:
        yield store


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.service)])
def lake_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home whose lake is in a place of its own."""
    home = Home(tmp_path)
    if request.param == "bucket":
        store: ObjectStore = request.getfixturevalue("storage")
        place = store.place(f"test-{uuid7()}/lake", tmp_path / "secret")
        home.storage_settings.write_text(yaml.safe_dump({"lake": place}))
    return home
