"""Orders to erase: statements in the ledger, signed by a person who may, about a pseudonym. They stand for good."""

from typing import NamedTuple, cast

import msgspec

from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.statement import ERASURE_SUBJECT, Recorded
from resources.erased_keys import Action


class Order(NamedTuple):
    """`entry` of the ledger says that `pseudonym` of `entity` is to be erased or masked, and who said so."""

    entry: str
    entity: str
    pseudonym: str
    action: Action
    actor: str


def standing(evidence: Evidence) -> dict[tuple[str, str], Order]:
    """The order about each pseudonym, by entity and pseudonym; of several the last, but none makes less of an erasure."""
    found: dict[tuple[str, str], Order] = {}
    for row in evidence.signed:
        if row.kind != "statement":
            continue
        said = msgspec.convert(row.body, Recorded).statement
        if not said.endpoint.startswith(ERASURE_SUBJECT):
            continue
        entity, action = said.endpoint.removeprefix(ERASURE_SUBJECT), cast("Action", said.verb)
        before = found.get((entity, said.subject))
        if before is None or before.action == "mask":
            found[entity, said.subject] = Order(row.id, entity, said.subject, action, said.actor)
    return found
