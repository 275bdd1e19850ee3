"""One byte string for one value."""

import hashlib
from pathlib import Path

import pytest

from formats.canonical import canonical_json, digest_of, sha256_file, sha256_hex


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'),
        ({"z": {"y": 1, "x": 2}, "B": 0, "a": 0}, '{"B":0,"a":0,"z":{"x":2,"y":1}}'),
        ((1, 2), "[1,2]"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (2**60, "1152921504606846976"),
        ('"\\\n\u2028', '"\\"\\\\\\n\u2028"'),
    ],
)
def test_the_bytes_of_a_value_are_fixed(value: object, text: str) -> None:
    assert canonical_json(value) == text.encode()


def test_the_order_of_keys_does_not_count_and_that_of_lists_does() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_the_digest_of_the_empty_object_is_fixed() -> None:
    assert digest_of({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}])
def test_what_json_has_no_number_for_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_foreign_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        canonical_json(value)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical_json("\ud800")


def test_a_file_has_the_digest_of_its_bytes_also_beyond_one_chunk(tmp_path: Path) -> None:
    data = b"roadbed" * 300_000
    (tmp_path / "file").write_bytes(data)
    assert sha256_file(tmp_path / "file") == sha256_hex(data) == hashlib.sha256(data).hexdigest()
