"""What only a team can say about its model; the platform fills in the rest of the model card."""

import msgspec


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is for, and where it must not be relied on: a sentence or two each."""

    intended_use: str
    limitations: tuple[str, ...]
