"""Candidates that the authority let no further, as sentences: refused by a gate, or waiting for people."""

from collections.abc import Iterable
from typing import NamedTuple

from formats.home import Home
from platform_assets.promotion.issue import environment_of, model_of
from platform_assets.promotion.live import pointers
from platform_assets.promotion.sensors import newest_evaluated
from resources.installation import installation_at


class HeldBack(NamedTuple):
    """The authority's last word on the newest candidate for `endpoint`: it is `verdict`, because of `why`."""

    endpoint: str
    bundle: str
    verdict: str
    why: str


def held_back(home: Home, endpoints: Iterable[str]) -> list[HeldBack]:
    """Of `endpoints`, those at which the newest evaluated candidate was refused, or waits."""
    installation = installation_at(home)
    state = pointers(installation)
    found = []
    for endpoint in endpoints:
        bundle = newest_evaluated(installation, model_of(endpoint, environment_of(endpoint)))
        decision = state.newest_decision(bundle, endpoint) if bundle else None
        if decision is not None and decision.verdict != "approved":
            why = "; ".join(decision.reasons or decision.missing)
            found.append(HeldBack(endpoint, decision.bundle, decision.verdict, why))
    return found
