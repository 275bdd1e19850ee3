"""Types of msgspec, prepared before threads use them.

msgspec works out what a type is when it is first used, and two threads that do so at once crash the process (0.22: a segmentation
fault in half of the starts that do). Whoever starts threads prepares first.
"""

from collections.abc import Iterator
from contextlib import suppress

import msgspec


def prepare_types() -> None:
    """Work out every Struct that is imported by now. What cannot be worked out says so when it is used."""
    for struct in _below(msgspec.Struct):
        with suppress(TypeError, NameError):
            msgspec.json.Decoder(struct)


def _below(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in struct.__subclasses__():
        yield each
        yield from _below(each)
