"""What teams have published: the files in `team_projects/<team>/contracts/`, read, written, and made from declarations."""

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import polars as pl

from formats.durable import write_atomic
from formats.errors import DeclarationError
from formats.table_contract import (
    Reading,
    Readings,
    TableColumn,
    TableContract,
    TableRule,
    decode_readings,
    decode_table_contract,
    encode,
)
from platform_assets.contracts.outcomes import MARK, Outcome
from platform_assets.contracts.projections import polars_type, serving_column
from platform_assets.contracts.spec import Contract
from platform_assets.tensors import element_type

FOLDER = "contracts"
_READINGS = "readings.json"
# Checks that the wire form has fields for, where the column is a number or lists its values.
_BOUNDS = {"greater_than_or_equal_to", "less_than_or_equal_to", "greater_than", "less_than", "in_range"}

T = TypeVar("T")
Versions = Mapping[str, Mapping[int, TableContract]]


class Published(NamedTuple):
    """What one team has published by table and version, and what the consumers of every team have said that they read."""

    contracts: Versions
    readings: tuple[Reading, ...]


def team_folder(team: str) -> Path | None:
    """The folder of the team's files: beside its package, which has its name. None for a team without a package."""
    spec = importlib.util.find_spec(team) if team.isidentifier() else None
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]).parent / FOLDER if places else None


def read_published(folder: Path | None) -> Published:
    """What the team of `folder` has published, and the readings of it and of the teams beside it.

    Raises:
        DeclarationError: a file is not what it should be.
    """
    if folder is None:
        return Published({}, ())
    found: dict[str, dict[int, TableContract]] = {}
    for path in sorted(folder.glob("*@*.json")):
        contract = _decoded(path, decode_table_contract)
        if path.name != _file_name(contract):
            raise _unreadable(path, f"it holds {contract.name}")
        found.setdefault(contract.table, {})[contract.version] = contract
    beside = sorted(folder.parents[1].glob(f"*/{FOLDER}/{_READINGS}"))
    readings = [reading for path in beside for reading in _decoded(path, decode_readings).readings]
    return Published(found, tuple(readings))


def write_contract(folder: Path, contract: TableContract) -> Path:
    """Write what is published of a table's version."""
    path = folder / _file_name(contract)
    write_atomic(path, encode(contract))
    return path


def write_readings(folder: Path, readings: Iterable[Reading]) -> Path:
    """Write what the consumers of a team read."""
    path = folder / _READINGS
    ordered = sorted(set(readings), key=lambda reading: (reading.consumer, reading.table))
    write_atomic(path, encode(Readings(readings=tuple(ordered))))
    return path


def own_readings(folder: Path) -> tuple[Reading, ...]:
    """The published readings of the team of `folder` alone."""
    path = folder / _READINGS
    return _decoded(path, decode_readings).readings if path.is_file() else ()


def table_contract(table: str, owner: str, contract: Contract, packed: tuple[str, ...] | None = None) -> TableContract:
    """The published form of the contract of `<team>/<table>`, a view that is `packed` so or a raw table."""
    columns = [_column(contract, name) for name in contract.columns]
    if contract.degradable:
        told = "names of the columns whose value was replaced"
        columns.append(TableColumn(name=MARK, type=str(pl.String()), nullable=True, description=told))
    return TableContract(
        table=table,
        version=contract.version,
        owner=owner,
        key=contract.key,
        event_time=contract.event_time,
        known_time=contract.known_time,
        columns=tuple(columns),
        rules=(*_table_checks(contract), *_row_rules(contract)),
        outcomes={name: _told(contract.outcome(rule)) for name, rule in contract.row_rules.items()},
        until=contract.until,
        packed=packed,
    )


def _column(contract: Contract, name: str) -> TableColumn:
    declared, wire = contract.columns[name], serving_column(contract, name, None)
    shown = _BOUNDS if element_type(polars_type(contract, name)).is_numeric() else set()
    shown = shown | ({"isin"} if wire.allowed is not None else set())
    distinct = contract.distinct.get(name)
    return TableColumn(
        name=name,
        type=str(polars_type(contract, name)),
        nullable=wire.nullable,
        unique=bool(declared.unique),
        minimum=wire.minimum,
        maximum=wire.maximum,
        allowed=None if wire.allowed is None else tuple(map(str, wire.allowed)),
        strict=wire.strict,
        distinct=(distinct.at_least, distinct.at_most) if distinct else None,
        checks=tuple(sorted(str(check.error or check.name) for check in declared.checks if check.name not in shown)),
        unit=wire.unit,
        classification=wire.classification,
        description=wire.description,
    )


def _row_rules(contract: Contract) -> Iterable[TableRule]:
    return (TableRule(name=rule.name, holds=str(rule.holds), because=rule.because) for rule in contract.rules)


def _table_checks(contract: Contract) -> Iterable[TableRule]:
    """Pandera's own checks of the whole row, of which only the name can be told."""
    own = {rule.name for rule in contract.rules}
    others = [check for check in contract.pandera.checks if check.name not in own]
    return (
        TableRule(name=str(check.name), holds="a check of the schema", because=check.description or "")
        for check in others
    )


def _told(outcome: Outcome) -> str:
    return outcome if isinstance(outcome, str) else f"degrade: {outcome}"


def _file_name(contract: TableContract) -> str:
    return f"{contract.table.rpartition('/')[2]}@{contract.version}.json"


def _decoded(path: Path, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> DeclarationError:
    return DeclarationError(
        "contract-breaking",
        f"{path} is no published contract: {why}",
        "restore the file from version control; `roadbed contracts publish` writes such files",
    )
