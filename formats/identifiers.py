"""Identifiers that sort by time: UUID version 7 (RFC 9562, section 5.7)."""

import os
import time
import uuid


def uuid7(milliseconds: int | None = None) -> str:
    """A new UUIDv7 as text; `milliseconds` since 1970 is taken from the wall when not given."""
    stamp = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    random = int.from_bytes(os.urandom(10), "big")
    value = (stamp & (1 << 48) - 1) << 80 | random & (1 << 80) - 1
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
