"""`roadbed key make` where it refuses: endpoints that are none, keys that are none."""

from pathlib import Path

import pytest

from formats.endpoint_keys import FILE, EndpointKeys, read_keys
from formats.errors import DeclarationError, EndpointError, IntegrityError
from formats.home import VARIABLE, Home
from platform_assets.cli.endpoint_key import make, revoke

ENDPOINT = "rail/delay/prod/endpoint"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    folder = Home(tmp_path).endpoint(ENDPOINT)
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "rail",
        "rail/delay/prod",
        "rail/delay/dev/endpoint",
        "../../etc/x/endpoint",
        "rail/../../endpoint",
        "/a/b/endpoint",
        "rail/../rail/endpoint",
    ],
)
def test_an_endpoint_that_never_ran_gets_no_key(folder: Path, endpoint: str) -> None:
    with pytest.raises(EndpointError) as refused:
        make(endpoint, "shop")
    assert refused.value.code == "endpoint-not-found"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "scope", "per_second"),
    [
        ("a b", None, None),
        ("", None, None),
        ("shop", ["admin"], None),
        ("shop", None, 0.0),
        ("shop", None, -1.0),
        ("shop", None, float("nan")),
        ("shop", None, float("inf")),
    ],
)
def test_what_is_no_key_is_refused_and_not_kept(
    folder: Path, name: str, scope: list[str] | None, per_second: float | None
) -> None:
    with pytest.raises(DeclarationError, match="no key"):
        make(ENDPOINT, name, scope, per_second)
    assert read_keys(folder / FILE) is None


def test_scopes_and_limit_are_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(ENDPOINT, "shop", ["status", "metrics"], 2.5)
    said = capsys.readouterr().out
    found = read_keys(folder / FILE)
    assert found is not None
    (key,) = found.keys
    assert (key.name, key.scopes, key.per_second) == ("shop", ("status", "metrics"), 2.5)
    assert said.splitlines()[-1] not in (folder / FILE).read_text()


def test_a_file_that_does_not_count_is_not_written_over(folder: Path) -> None:
    (folder / FILE).write_text("{}")
    (folder / FILE).chmod(0o666)
    with pytest.raises(IntegrityError) as refused:
        make(ENDPOINT, "shop")
    assert refused.value.code == "keys-unusable"
    assert (folder / FILE).read_text() == "{}"


def test_only_a_key_that_there_is_can_be_taken_back(folder: Path) -> None:
    make(ENDPOINT, "shop")
    with pytest.raises(DeclarationError, match="no key till"):
        revoke(ENDPOINT, "till")
    revoke(ENDPOINT, "shop")
    assert read_keys(folder / FILE) == EndpointKeys()
