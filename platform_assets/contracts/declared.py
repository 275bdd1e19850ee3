"""A contract that contradicts itself is refused where it is declared, with the words that it may use."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import pandera.polars as pa
import polars as pl

from formats.contract import Classification
from formats.errors import DeclarationError
from platform_assets.contracts.outcomes import MARK, DefaultValue, Degrade
from platform_assets.contracts.rules import UNIQUE, is_uniqueness, row_wise
from platform_assets.contracts.tensor import Tensor
from platform_assets.tensors import element_type, shape_of

if TYPE_CHECKING:
    from platform_assets.contracts.spec import Contract

METADATA = ("unit", "classification", "description", "strict", "sources", "distinct")

_CLASSIFICATIONS = get_args(Classification)
# What pandera does to a copy that it then judges: the rows themselves would be stored as they came.
_ALTERING = ("coerce", "drop_invalid_rows", "add_missing_columns")


def require_sound(contract: "Contract") -> None:
    """Raises DeclarationError: an unknown name, a rule that is none, or an outcome that its rule cannot have."""
    _check_schema(contract)
    times = [time for time in (contract.event_time, contract.known_time) if time]
    _require_known(contract, "columns", [*contract.key, *times, *contract.carries], contract.columns)
    for name in contract.columns:
        _check_metadata(contract, name, contract.metadata(name))
        _check_tensor(contract, name)
    _check_rules(contract)
    _require_known(contract, "columns or rules", contract.outcomes, [*contract.columns, *contract.row_rules])
    for rule, degrade in contract.degradations.items():
        _check_degrade(contract, rule, degrade)
    if contract.degradable and MARK in contract.columns:
        _refuse(
            contract, f"has a column {MARK}, the name of the mark of replaced values", "give the column another name"
        )
    if not (0 <= contract.quarantine_limit <= 1 and 0 <= contract.degrade_limit <= 1):
        _refuse(contract, "has a limit outside of 0 to 1", "a limit is a share of a partition's rows")


def _check_schema(contract: "Contract") -> None:
    schema = contract.pandera
    found = [name for name in _ALTERING if getattr(schema, name)] + ["strict='filter'"] * (schema.strict == "filter")
    for name, column in contract.columns.items():
        altering = {"coerce": column.coerce, "default": column.default is not None}
        found += [f"{what} of {name}" for what, asked in altering.items() if asked]
        if column.regex or not column.required:
            _refuse(
                contract,
                f"does not say whether there is a column {name}",
                "name each column; one that may lack values has nullable=True",
            )
    _check_verdicts(contract)
    if found:
        hint = "give what the contract judges as it is to be stored; `outcomes` says what becomes of bad rows"
        _refuse(contract, f"asks pandera to alter what it judges: {', '.join(found)}", hint)


def _check_verdicts(contract: "Contract") -> None:
    judged = {"the table": contract.pandera.checks, **{name: c.checks for name, c in contract.columns.items()}}
    warning = [
        f"{check.name} of {where}" for where, checks in judged.items() for check in checks if check.raise_warning
    ]
    if warning:
        hint = "leave raise_warning out; `outcomes` says what becomes of bad rows"
        _refuse(contract, f"has checks that let bad rows by with a warning: {', '.join(warning)}", hint)


def _require_known(contract: "Contract", what: str, names: Iterable[str], known: Iterable[str]) -> None:
    choice = sorted(known)
    unknown = sorted(set(names) - set(choice))
    if unknown:
        _refuse(contract, f"names the {what} {unknown}, which its schema does not have", f"use some of {choice}")


def _check_metadata(contract: "Contract", column: str, metadata: Any) -> None:  # noqa: ANN401 whatever a team wrote there
    unknown = sorted(set(metadata) - set(METADATA))
    if unknown:
        _refuse(contract, f"has the metadata {unknown} in {column}, which mean nothing", f"use some of {METADATA}")
    classification = metadata.get("classification", _CLASSIFICATIONS[0])
    if classification not in _CLASSIFICATIONS:
        _refuse(contract, f"classifies {column} as {classification!r}", f"use one of {_CLASSIFICATIONS}")
    if not _is_range(metadata.get("distinct", (None, None))):
        _refuse(contract, f"counts {column} by {metadata['distinct']!r}", "give (at least, at most), None for no bound")


def _check_tensor(contract: "Contract", name: str) -> None:
    declared = contract.columns[name].dtype
    dtype = declared.type
    if not isinstance(dtype, pl.Array):
        return
    if not isinstance(declared, Tensor):
        _refuse(
            contract,
            f"declares {name} as {dtype}",
            "declare it as a Tensor: pandera reads the shapes of pl.Array wrongly",
        )
    inner = element_type(dtype)
    if not inner.is_numeric() or 0 in dtype.shape:
        _refuse(
            contract,
            f"declares {name} as {dtype}",
            "a tensor holds numbers and has an extent of 1 or more along each axis",
        )
    if name in contract.row_key:
        _refuse(contract, f"tells rows apart by {name}, which is a tensor", "give the row a key of its own")


def _is_range(bounds: object) -> bool:
    if not isinstance(bounds, tuple) or len(bounds) != 2:
        return False
    low, high = bounds
    whole = all(bound is None or (isinstance(bound, int) and bound >= 0) for bound in bounds)
    return whole and (low is None or high is None or low <= high)


def _check_rules(contract: "Contract") -> None:
    names = [check.name for check in contract.pandera.checks]
    taken = sorted({name for name in names if names.count(name) > 1 or name in contract.columns or name == UNIQUE})
    if taken:
        _refuse(contract, f"has rules {taken}, names that it uses already", "give each rule a name of its own")
    for rule in contract.rules:
        if not row_wise(rule.holds):
            _refuse(
                contract,
                f"has a rule {rule.name} that does not follow from one row's columns alone",
                "compare columns of the row, named one by one, without aggregates, windows and Python functions",
            )
        _require_known(contract, f"columns in its rule {rule.name}:", rule.holds.meta.root_names(), contract.columns)


def _check_degrade(contract: "Contract", rule: str, degrade: Degrade) -> None:
    columns = contract.replaced_by(rule)
    if is_uniqueness(rule):
        _refuse(
            contract,
            f"would replace values where {rule} is broken: it tells rows apart",
            "set such rows aside: quarantine",
        )
    if not columns:
        _refuse(contract, f"does not say what to replace where {rule} is broken", "give columns=(...)")
    _require_known(contract, f"columns to replace for {rule}:", columns, contract.columns)
    several = contract.pandera.unique or []
    for column in columns:
        if shape_of(contract.columns[column].dtype.type):
            _refuse(contract, f"would replace {column}, which is a tensor", "set such rows aside: quarantine")
        if column in contract.row_key or contract.columns[column].unique or column in several:
            _refuse(contract, f"would replace {column}, which tells rows apart", "set such rows aside: quarantine")
        if isinstance(degrade, DefaultValue):
            _check_default(contract, column, degrade.value)
    if not isinstance(degrade, DefaultValue) and not (contract.event_time or contract.known_time):
        _refuse(contract, f"asks for the last good value for {rule} without a time", "declare event_time or known_time")


def _check_default(contract: "Contract", column: str, value: object) -> None:
    declared = contract.columns[column]
    try:
        frame = pl.DataFrame({column: [value]}, schema={column: declared.dtype.type})
        pa.DataFrameSchema({column: declared}).validate(frame)
    except (TypeError, pl.exceptions.PolarsError, pa.errors.SchemaError) as error:
        _refuse(contract, f"would replace {column} by {value!r}: {error}", "give a value that keeps the column's rules")


def _refuse(contract: "Contract", what: str, hint: str) -> NoReturn:
    raise DeclarationError("declaration-invalid", f"contract {contract.schema.__name__} {what}", hint)
