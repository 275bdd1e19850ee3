"""A team's declarations put down as what it has published, in files that a review shows."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from formats.errors import DeclarationError
from formats.table_contract import Reading
from platform_assets.contracts.consumers import declared_contracts, declared_readings
from platform_assets.contracts.evolution import Difference, evolution
from platform_assets.contracts.published import own_readings, read_published, write_contract, write_readings

if TYPE_CHECKING:
    from platform_assets.team import Team


def publish(team: "Team", folder: Path, names: Collection[str] = ()) -> list[Path]:
    """Write the contracts and readings that are not published as they are declared; the files written.

    With `names` (`<team>/<table, view or model>`), those alone. To name a consumer is to say that it takes the versions that are
    declared now; unnamed, none is left behind. Contracts are written before readings, so that a killed call is repeated.

    Raises:
        DeclarationError: a name is unknown, or a change is refused.
    """
    contracts, readings = declared_contracts(team), declared_readings(team)
    known = {*(contract.table for contract in contracts.values()), *(reading.consumer for reading in readings)}
    _require_known(team.name, names, known)
    chosen = set(names) or known
    published = read_published(folder)
    _require_possible([each for each in evolution(team, published).refused if not names or _concerns(each, chosen)])
    changed = [
        contract
        for contract in contracts.values()
        if contract.table in chosen and published.contracts.get(contract.table, {}).get(contract.version) != contract
    ]
    written = [write_contract(folder, contract) for contract in changed]
    held = own_readings(folder)
    now = {
        *(reading for reading in held if _kept(reading, known, chosen)),
        *(r for r in readings if r.consumer in chosen),
    }
    return [*written, write_readings(folder, now)] if now != set(held) else written


def _kept(reading: Reading, known: set[str], chosen: set[str]) -> bool:
    """Readings of others, and of consumers that are still declared and were not named."""
    return reading.kind == "other" or (reading.consumer in known and reading.consumer not in chosen)


def _concerns(difference: Difference, chosen: set[str]) -> bool:
    """Whether naming `chosen` asks for what is refused. A version that leaves consumers behind is published before they follow."""
    readers = {reading.consumer for reading in difference.consumers}
    return difference.state != "new version" and bool({difference.table, *readers} & chosen)


def _require_known(team: str, names: Collection[str], known: set[str]) -> None:
    unknown = sorted(set(names) - known)
    if unknown:
        raise DeclarationError(
            "declaration-invalid", f"team {team} does not declare {', '.join(unknown)}", f"name some of {sorted(known)}"
        )


def _require_possible(refused: list[Difference]) -> None:
    if refused:
        raise DeclarationError(
            "contract-breaking", "; ".join(each.refused for each in refused), "; ".join(each.hint for each in refused)
        )
