"""Identifiers are UUIDs of version 7, which sort by time."""

import uuid

from formats.identifiers import uuid7


def test_version_variant_and_time_are_where_the_standard_puts_them() -> None:
    found = uuid.UUID(uuid7(1_364_774_400_123))
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == 1_364_774_400_123


def test_the_text_sorts_by_time() -> None:
    times = [0, 1, 255, 256, 1_364_774_400_123, 2**48 - 1]
    texts = [uuid7(time) for time in times]
    assert texts == sorted(texts)
    assert len({len(text) for text in texts}) == 1


def test_two_of_one_millisecond_differ_in_many_bits() -> None:
    assert len({uuid7(7) for _ in range(1000)}) == 1000
    seen = 0
    for _ in range(200):
        seen |= uuid.UUID(uuid7(0)).int
    assert seen.bit_count() == 74 + 4  # every random bit was set once, and the constant bits of version and variant
