"""What a model declares for an online store that is away: derived into its contract, and part of what is trained and judged."""

import dataclasses

import msgspec
import pytest
from aviation.team import DEPARTURE_DELAY, TEAM

from formats.canonical import canonical_json
from formats.contract import decode_contract
from formats.errors import DeclarationError
from platform_assets.training.declared import fingerprint_of

BY_DEFAULT = dataclasses.replace(DEPARTURE_DELAY, without_store="default")


def test_it_stands_in_the_contract_and_without_a_word_nothing_does() -> None:
    derived = DEPARTURE_DELAY.training_set.contract(TEAM.name, DEPARTURE_DELAY.name)
    silent, declared = DEPARTURE_DELAY.contract(TEAM.name), BY_DEFAULT.contract(TEAM.name)
    assert silent == derived
    assert (silent.without_store, declared.without_store) == ("refuse", "default")
    assert b"without_store" not in canonical_json(msgspec.to_builtins(silent))
    read = decode_contract(canonical_json(msgspec.to_builtins(declared)))
    assert (read, read.without_store) == (declared, "default")


def test_another_declaration_is_another_training() -> None:
    silent, declared = (fingerprint_of(TEAM.name, model) for model in (DEPARTURE_DELAY, BY_DEFAULT))
    assert silent.config != declared.config


@pytest.mark.parametrize("said", ["last_value", "", "Default"])
def test_what_no_endpoint_can_do_cannot_be_declared(said: str) -> None:
    with pytest.raises(DeclarationError, match="refuse, default"):
        dataclasses.replace(DEPARTURE_DELAY, without_store=said)
