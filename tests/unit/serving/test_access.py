"""Who is let in: by which key, to what, how often; and what a file that does not count changes."""

import logging
from pathlib import Path

import pytest

from formats.endpoint_keys import (
    FILE,
    PLATFORM_FILE,
    EndpointKey,
    EndpointKeys,
    Scope,
    digest_of_key,
    platform_headers,
    write_keys,
)
from serving.access import Access
from serving.refusals import Refusal

KEY = "rbk_shop"
OTHER = "rbk_audit"


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def declared(name: str, key: str, *scopes: Scope, per_second: float | None = None) -> EndpointKey:
    digest = digest_of_key(key.encode()).hex()
    return EndpointKey(name=name, sha256=digest, scopes=scopes, per_second=per_second)


SHOP = declared("shop", KEY, "predict")
AUDIT = declared("audit", OTHER, "status", "metrics")


def guarded(folder: Path, *keys: EndpointKey, clock: Clock | None = None) -> Access:
    write_keys(folder / FILE, EndpointKeys(keys=keys))
    access = Access(folder, now=clock or Clock())
    access.refresh()
    return access


def asked(access: Access, scope: Scope, *values: bytes) -> str:
    """`in`, or the code of the refusal."""
    refused: list[Refusal] = []
    try:
        access.require([(b"authorization", value) for value in values], scope)
    except Refusal as refusal:
        refused.append(refusal)
    for refusal in refused:
        assert refusal.status == {"key-unknown": 401, "key-not-allowed": 403, "rate-limited": 429}[refusal.code]
        assert not [value for value in values if len(value) > 8 and value in refusal.body]
    return refused[0].code if refused else "in"


def bearer(key: str) -> bytes:
    return b"Bearer " + key.encode()


def test_without_a_file_everybody_is_let_in(tmp_path: Path) -> None:
    access = Access(tmp_path)
    access.refresh()
    assert (access.guarded, asked(access, "predict"), asked(access, "status", b"nonsense")) == (False, "in", "in")
    assert list(tmp_path.iterdir()) == []


def test_a_key_opens_its_scopes_and_nothing_else(tmp_path: Path) -> None:
    access = guarded(tmp_path, SHOP, AUDIT)
    assert [asked(access, scope, bearer(KEY)) for scope in ("predict", "status", "metrics")] == [
        "in",
        "key-not-allowed",
        "key-not-allowed",
    ]
    assert [asked(access, scope, bearer(OTHER)) for scope in ("predict", "status", "metrics")] == [
        "key-not-allowed",
        "in",
        "in",
    ]
    access.require([(b"authorization", bearer(KEY))], "predict", "status")


@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Basic cmJrX3Nob3A=",),
        (KEY.encode(),),
        (bearer(KEY + "x"),),
        (bearer(KEY[:-1]),),
        (bearer(KEY.upper()),),
        (bearer(SHOP.sha256),),
        (bearer(KEY), bearer(KEY)),
        (bearer(KEY), bearer(OTHER)),
        (b"Bearer " + b"\xff" * 100,),
        (b"Bearer " + b"x" * 60_000,),
    ],
)
def test_what_is_no_key_of_the_endpoint_is_refused(tmp_path: Path, values: tuple[bytes, ...]) -> None:
    assert asked(guarded(tmp_path, SHOP, AUDIT), "predict", *values) == "key-unknown"


def test_the_scheme_is_written_as_one_likes(tmp_path: Path) -> None:
    access = guarded(tmp_path, SHOP)
    assert asked(access, "predict", b"bearer " + KEY.encode()) == "in"
    assert asked(access, "predict", b"BEARER  " + KEY.encode() + b" ") == "in"


def test_a_key_may_ask_as_often_as_it_says(tmp_path: Path) -> None:
    clock = Clock()
    access = guarded(tmp_path, declared("shop", KEY, "predict", per_second=2.0), AUDIT, clock=clock)
    answers = [asked(access, "predict", bearer(KEY)) for _ in range(4)]
    assert answers == ["in", "in", "rate-limited", "rate-limited"]
    clock.at += 0.5
    assert [asked(access, "predict", bearer(KEY)) for _ in range(2)] == ["in", "rate-limited"]
    clock.at += 3600
    assert [asked(access, "predict", bearer(KEY)) for _ in range(3)] == ["in", "in", "rate-limited"]
    assert asked(access, "metrics", bearer(OTHER)) == "in"


def test_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    clock = Clock()
    access = guarded(tmp_path, declared("shop", KEY, "predict", per_second=0.1), clock=clock)
    assert asked(access, "predict", bearer(KEY)) == "in"
    clock.at += 2.5
    with pytest.raises(Refusal) as refused:
        access.require([(b"authorization", bearer(KEY))], "predict")
    assert dict(refused.value.headers)[b"retry-after"] == b"8"
    assert refused.value.reason == "key"


def test_what_a_key_does_not_open_costs_it_nothing(tmp_path: Path) -> None:
    access = guarded(tmp_path, declared("shop", KEY, "predict", per_second=1.0))
    assert [asked(access, "status", bearer(KEY)) for _ in range(5)] == ["key-not-allowed"] * 5
    assert asked(access, "predict", bearer(KEY)) == "in"


def test_a_file_that_changed_counts_and_spares_what_was_used_up(tmp_path: Path) -> None:
    limited = declared("shop", KEY, "predict", per_second=1.0)
    access = guarded(tmp_path, limited)
    assert asked(access, "predict", bearer(KEY)) == "in"
    write_keys(tmp_path / FILE, EndpointKeys(keys=(AUDIT, limited)))
    access.refresh()
    assert asked(access, "status", bearer(OTHER)) == "in"
    assert asked(access, "predict", bearer(KEY)) == "rate-limited"
    write_keys(tmp_path / FILE, EndpointKeys(keys=(AUDIT,)))
    access.refresh()
    assert asked(access, "predict", bearer(KEY)) == "key-unknown"


@pytest.mark.parametrize("damage", ["removed", "malformed", "writable"])
def test_a_file_that_does_not_count_changes_nothing_but_the_fault(tmp_path: Path, damage: str) -> None:
    access = guarded(tmp_path, SHOP)
    path = tmp_path / FILE
    if damage == "removed":
        path.unlink()
    else:
        path.unlink()
        path.write_text("{}" if damage == "writable" else "{")
        path.chmod(0o666 if damage == "writable" else 0o600)
    access.refresh()
    assert access.fault is not None
    assert access.fault.code == "keys-unusable"
    assert (asked(access, "predict", bearer(KEY)), asked(access, "predict")) == ("in", "key-unknown")
    path.unlink(missing_ok=True)
    write_keys(path, EndpointKeys(keys=(AUDIT,)))
    access.refresh()
    assert (access.fault, asked(access, "predict", bearer(KEY))) == (None, "key-unknown")


def test_who_never_knew_a_key_lets_nobody_in_by_a_file_that_does_not_count(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    (tmp_path / FILE).chmod(0o600)
    access = Access(tmp_path)
    access.refresh()
    assert (access.guarded, access.has_keys, asked(access, "predict", bearer(KEY))) == (True, False, "key-unknown")
    platform = platform_headers(tmp_path)["authorization"].encode()
    assert asked(access, "status", platform) == "in"


def test_where_keys_are_required_their_absence_lets_nobody_in(tmp_path: Path) -> None:
    access = Access(tmp_path, required=True)
    access.refresh()
    assert (access.has_keys, asked(access, "predict")) == (False, "key-unknown")


def test_the_platform_has_a_key_of_its_own_that_opens_everything(tmp_path: Path) -> None:
    access = guarded(tmp_path, SHOP)
    for scope in ("predict", "status", "metrics"):
        assert asked(access, scope, platform_headers(tmp_path)["authorization"].encode()) == "in"
    before = platform_headers(tmp_path)
    (tmp_path / PLATFORM_FILE).unlink()
    access.refresh()
    after = platform_headers(tmp_path)
    assert after != before
    assert asked(access, "status", after["authorization"].encode()) == "in"
    assert asked(access, "status", before["authorization"].encode()) == "key-unknown"


def test_a_platform_key_that_others_can_read_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / PLATFORM_FILE).write_text("rbk_planted")
    (tmp_path / PLATFORM_FILE).chmod(0o644)
    access = guarded(tmp_path, SHOP)
    assert access.fault is not None
    assert "platform-key" in access.fault.message
    assert (asked(access, "status", bearer("rbk_planted")), asked(access, "predict", bearer(KEY))) == (
        "key-unknown",
        "in",
    )


def test_no_key_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    access = guarded(tmp_path, SHOP, AUDIT)
    asked(access, "status", bearer(KEY))
    asked(access, "predict", bearer("rbk_unknown_to_it"))
    told = caplog.text
    assert "shop, audit" in told
    platform = platform_headers(tmp_path)["authorization"].removeprefix("Bearer ")
    assert not [key for key in (KEY, OTHER, platform, "rbk_unknown_to_it", SHOP.sha256) if key in told]
