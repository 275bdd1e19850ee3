"""Versions of a table that live side by side: which end when, and who still reads them."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec

from formats.errors import DeclarationError
from formats.table_contract import Reading
from platform_assets.calendar import Calendar
from platform_assets.contracts.consumers import declared_contracts, declared_readings
from platform_assets.contracts.published import Published
from platform_assets.contracts.spec import Contract

if TYPE_CHECKING:
    from platform_assets.team import Team


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A version (`<team>/<table>@<version>`) that stands beside a newer one until the end of a day, and who reads it."""

    version: str
    until: date
    over: bool
    readers: tuple[Reading, ...]


def is_over(contract: Contract, calendar: Calendar, now: datetime) -> bool:
    """Whether the contract's last day has passed by the installation's clock."""
    return contract.until is not None and calendar.day_end(contract.until.isoformat()) <= now


def windows(team: "Team", published: Published, now: datetime) -> tuple[Window, ...]:
    """The versions of the team's tables that end, with those who read them by declaration or by what is published."""
    readings = {*declared_readings(team), *(each for each in published.readings if each.kind == "other")}
    readings |= {each for each in published.readings if not each.consumer.startswith(f"{team.name}/")}
    return tuple(
        Window(
            version=name,
            until=contract.until,
            over=team.calendar.day_end(contract.until.isoformat()) <= now,
            readers=tuple(sorted((each for each in readings if each.table == name), key=lambda each: each.consumer)),
        )
        for name, contract in declared_contracts(team).items()
        if contract.until is not None
    )


def require_windows(team: str, tables: Iterable[tuple[str, Contract]]) -> None:
    """Raises DeclarationError unless each version is declared once, and all but the newest of a table have an end."""
    versions: dict[str, list[Contract]] = {}
    for name, contract in tables:
        versions.setdefault(name, []).append(contract)
    for name, found in versions.items():
        numbers = [contract.version for contract in found]
        if len(set(numbers)) < len(numbers):
            _refuse(f"team {team} declares {name} more than once in a version: {sorted(numbers)}")
        endless = sorted(each.version for each in found if each.version < max(numbers) and each.until is None)
        if endless:
            _refuse(f"{team}/{name}@{endless[0]} stands beside {team}/{name}@{max(numbers)} without an end")
        if next(each for each in found if each.version == max(numbers)).until is not None:
            _refuse(f"{team}/{name}@{max(numbers)} has an end, and no newer version follows it")


def _refuse(what: str) -> None:
    raise DeclarationError(
        "declaration-invalid", what, "give each version its number, and `until` to the contract of each older one alone"
    )
