"""The file of an endpoint's keys: what counts, and what does not because others may have written it."""

import os
from pathlib import Path

import msgspec
import pytest

from formats.endpoint_keys import (
    FILE,
    MAX_KEYS,
    EndpointKey,
    EndpointKeys,
    digest_of_key,
    new_key,
    platform_headers,
    platform_key,
    read_keys,
    write_keys,
)
from formats.errors import IntegrityError


def key(name: str = "shop", **changes: object) -> EndpointKey:
    made = EndpointKey(name=name, sha256=digest_of_key(new_key().encode()).hex(), scopes=("predict",))
    return msgspec.structs.replace(made, **changes)


def refusal(path: Path) -> str:
    with pytest.raises(IntegrityError) as refused:
        read_keys(path)
    assert refused.value.code == "keys-unusable"
    return refused.value.message


def test_what_is_written_is_read_and_is_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE
    keys = EndpointKeys(keys=(key(per_second=5.0), key("audit", scopes=("status", "metrics"))))
    write_keys(path, keys)
    assert read_keys(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_keys_and_an_empty_list_is_nobody(tmp_path: Path) -> None:
    assert read_keys(tmp_path / FILE) is None
    write_keys(tmp_path / FILE, EndpointKeys())
    assert read_keys(tmp_path / FILE) == EndpointKeys()


def test_keys_are_long_and_differ() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) >= 43 + len("rbk_") for one in made)


@pytest.mark.parametrize("mode", [0o602, 0o620, 0o604, 0o666, 0o644, 0o601])
def test_a_file_that_others_may_write_or_read_does_not_count(tmp_path: Path, mode: int) -> None:
    write_keys(tmp_path / FILE, EndpointKeys(keys=(key(),)))
    (tmp_path / FILE).chmod(mode)
    assert f"{mode:o}" in refusal(tmp_path / FILE)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_group_may_read_it(tmp_path: Path, mode: int) -> None:
    write_keys(tmp_path / FILE, EndpointKeys())
    (tmp_path / FILE).chmod(mode)
    assert read_keys(tmp_path / FILE) == EndpointKeys()


def test_a_file_of_somebody_else_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keys(tmp_path / FILE, EndpointKeys())
    if os.geteuid() == 0:
        os.chown(tmp_path / FILE, 65534, -1)
    else:
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert "belongs to user" in refusal(tmp_path / FILE)


GOOD = msgspec.to_builtins(key())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        b'{"keys": [' + b" " * (1 << 20) + b"]}",
        {"keys": [GOOD], "format": "roadbed/endpoint-keys@2"},
        {"keys": [GOOD], "more": 1},
        {"keys": [GOOD, GOOD]},
        {"keys": [GOOD | {"key": "in the clear"}]},
        {"keys": [GOOD | {"name": "a\nb"}]},
        {"keys": [GOOD | {"name": ""}]},
        {"keys": [GOOD | {"sha256": "0" * 63}]},
        {"keys": [GOOD | {"sha256": "G" * 64}]},
        {"keys": [GOOD | {"scopes": []}]},
        {"keys": [GOOD | {"scopes": ["admin"]}]},
        {"keys": [GOOD | {"per_second": 0}]},
        {"keys": [GOOD | {"per_second": -1}]},
        {"keys": [GOOD | {"per_second": 1e300}]},
        {"keys": [msgspec.to_builtins(key(f"k{number}")) for number in range(MAX_KEYS + 1)]},
    ],
)
def test_what_is_malformed_does_not_count(tmp_path: Path, document: object) -> None:
    path = tmp_path / FILE
    path.write_bytes(document if isinstance(document, bytes) else msgspec.json.encode(document))
    path.chmod(0o600)
    assert len(refusal(path)) < 1000


def test_what_is_no_file_does_not_count_and_nobody_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "no file" in refusal(tmp_path / "folder")
    assert "no file" in refusal(tmp_path / "pipe")


def test_the_platforms_own_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    assert platform_headers(tmp_path) == {}
    made = platform_key(tmp_path)
    assert platform_key(tmp_path) == made
    assert platform_headers(tmp_path) == {"authorization": f"Bearer {made.decode()}"}
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(IntegrityError):
        platform_key(tmp_path)
