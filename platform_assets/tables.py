"""What every asset that is a table does the same way: ask for days that have arrived, judge, split, set aside, describe."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from formats.canonical import digest_of
from formats.errors import DataError
from io_managers.table import table_name
from platform_assets.calendar import Calendar
from platform_assets.contracts.assets import column_schema, contract_result, markdown_table
from platform_assets.contracts.failures import RULE
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import Verdict, validate
from platform_assets.contracts.windows import is_over
from platform_assets.materialized import Materialized
from platform_assets.ownership import Owner
from platform_assets.promotion.staleness import note_newest
from resources.installation import Installation
from resources.lake import WHOLE, Part
from resources.table_ref import TableRef

DIGEST = "digest"
ERASED = "rows of erased keys"

_SUFFIX = "_quarantine"
_PART = "__part"
_PREVIEW = 5
_RULE_COLUMN = dg.TableColumn(RULE, str(pl.String()), description="the rules that the row broke")


def requested_window(
    context: dg.AssetExecutionContext, calendar: Calendar, installation: Installation
) -> tuple[datetime, datetime]:
    """Start and end (UTC) of the days that the run asks for. Raises DataError if they are not over yet."""
    keys = context.partition_keys
    start, end = calendar.start(keys[0]), calendar.day_end(keys[-1])
    what = f"{context.asset_key.to_user_string()}[{keys[-1]}]"
    calendar.require_arrived(what, end, installation.clock.now())
    return start.astimezone(UTC), end.astimezone(UTC)


def quarantine_spec(owner: Owner, key: dg.AssetKey, contract: Contract, *, daily: bool) -> dg.AssetSpec:
    """The side asset of `key`: rows that broke its contract, with the rules that they broke."""
    return dg.AssetSpec(
        quarantine_key(key),
        deps=[key],
        description=f"Rows of {key.to_user_string()} that broke its contract, with the rules that they broke.",
        group_name="quarantine",
        owners=[owner.contact],
        kinds={"deltalake"},
        metadata={"dagster/column_schema": dg.TableSchema([*column_schema(contract).columns, _RULE_COLUMN])},
        partitions_def=owner.calendar.daily if daily else None,
    )


def quarantine_key(key: dg.AssetKey) -> dg.AssetKey:
    """The key of the side asset of `key`."""
    return dg.AssetKey([*key.path[:-1], key.path[-1] + _SUFFIX])


def column_deps(owner: Owner, sources: Iterable[str]) -> list[dg.TableColumnDep]:
    """The columns `<table>.<column>` of the team, as the catalog links them."""
    named = (source.partition(".") for source in sources)
    return [dg.TableColumnDep(dg.AssetKey([owner.team, table]), column) for table, _, column in named]


def store_table(
    context: dg.AssetExecutionContext,
    calendar: Calendar,
    contract: Contract,
    frame: pl.LazyFrame,
    installation: Installation,
    metadata: Mapping[str, Any] | None = None,
    sources: tuple[str, ...] = (),
) -> Materialized:
    """Judge `frame`, set bad rows aside, and hand the good ones to the IO manager, split by day; `sources` are noted beside.

    The data version is the digest of the partition, or of the partitions' digests in a range run.
    """
    part = _part_of(context, calendar, contract)
    verdict = validate(context.asset_key.to_user_string(), frame, contract, part=part)
    parts = _split(context, verdict.good, part, contract)
    _set_aside(context, verdict, part, contract, installation)
    _note_newest(context, parts, contract, installation, sources)
    ended = contract.until if is_over(contract, calendar, installation.clock.now()) else None
    results = [contract_result(context.asset_key, verdict, ended, contract.personal)]
    return described(context, installation, parts, metadata, results, personal=contract.personal)


def described(
    context: dg.AssetExecutionContext,
    installation: Installation,
    found: Mapping[str, Part],
    metadata: Mapping[str, Any] | None = None,
    check_results: Sequence[dg.AssetCheckResult] = (),
    *,
    personal: Iterable[str] = (),
) -> Materialized:
    """The result of an asset that stores what the lake takes of the parts: digests as data version, rows by partition, a preview.

    Values of columns that are `personal` are not in the preview, which everybody sees and Dagster keeps.
    """
    parts = {key: _admitted(context, installation, key, part) for key, part in found.items()}
    digests = {key: part.digest for key, part in parts.items()}
    for key, part in parts.items():
        preview = dg.MetadataValue.md(markdown_table(part.frame.head(_PREVIEW), personal))
        rows = "dagster/row_count" if key == WHOLE else "dagster/partition_row_count"
        facts = {DIGEST: part.digest, rows: part.frame.height, "preview": preview}
        context.add_asset_metadata(facts, partition_key=None if key == WHOLE else key)
    return dg.MaterializeResult(
        value=parts,
        data_version=dg.DataVersion(next(iter(digests.values())) if len(digests) == 1 else digest_of(digests)),
        metadata=dict(metadata or {}),
        check_results=check_results,
    )


def _admitted(context: dg.AssetExecutionContext, installation: Installation, key: str, part: Part) -> Part:
    """`part` as the lake will store it: rows of keys that were erased do not come back with a new delivery."""
    frame, kept_out = installation.lake.admitted(table_name(context.asset_key), part.frame)
    if not kept_out:
        return part
    context.log.info("%d rows are of keys that were erased: they are left out, or masked", kept_out)
    context.add_asset_metadata({ERASED: kept_out}, partition_key=None if key == WHOLE else key)
    return Part.of(frame, part.key or ())


def _part_of(context: dg.AssetExecutionContext, calendar: Calendar, contract: Contract) -> pl.Expr:
    """The partition a row belongs to. One without a known time is bad, and set aside with the first day of the run."""
    if contract.known_time is None or context.assets_def.partitions_def is None:
        return pl.lit(WHOLE)
    return calendar.day_of(pl.col(contract.known_time)).fill_null(context.partition_keys[0])


def _split(
    context: dg.AssetExecutionContext, frame: pl.DataFrame, part: pl.Expr, contract: Contract
) -> dict[str, Part]:
    wanted = list(context.partition_keys) if context.assets_def.partitions_def is not None else [WHOLE]
    found = frame.with_columns(part.alias(_PART)).partition_by(_PART, as_dict=True, include_key=False)
    strange = sorted(key for (key,) in found if key not in wanted)
    if strange:
        raise DataError(
            "data-conflict",
            f"{context.asset_key.to_user_string()} gave rows known on {strange[:3]} when asked for {wanted[0]} to {wanted[-1]}",
            "return rows whose known time lies in [start, end) only; others belong to another partition",
        )
    frames = {key: found.get((key,), frame.clear()) for key in wanted}
    return {key: Part.of(rows, contract.row_key) for key, rows in frames.items()}


def _note_newest(
    context: dg.AssetExecutionContext,
    parts: Mapping[str, Part],
    contract: Contract,
    installation: Installation,
    sources: tuple[str, ...],
) -> None:
    last = max((key for key, part in parts.items() if part.frame.height), default=None)
    if last is not None:
        ref = TableRef(table_name(context.asset_key), last, parts[last].digest)
        note_newest(installation.lake, ref, parts[last].frame, contract.event_time or contract.known_time, sources)


def _set_aside(
    context: dg.AssetExecutionContext, verdict: Verdict, part: pl.Expr, contract: Contract, installation: Installation
) -> None:
    """Bad rows of these days replace those of an earlier run; a clean day leaves no side table behind it."""
    side = quarantine_key(context.asset_key)
    held = installation.lake.digests(table_name(side))
    if verdict.bad.is_empty() and not held:
        return
    parts = _split(context, verdict.bad, part, contract)
    changed = {key: bad for key, bad in parts.items() if bad.frame.height or key in held}
    installation.lake.replace(table_name(side), changed)
    columns = {name: [dg.TableColumnDep(context.asset_key, name)] for name in contract.stored}
    lineage = dg.TableColumnLineage(columns)
    for key, bad in changed.items():
        shown = bad.frame.head(_PREVIEW).select(RULE, pl.exclude(RULE))
        sample = dg.MetadataValue.md(markdown_table(shown, contract.personal))
        metadata: dict[str, Any] = {
            "dagster/row_count" if key == WHOLE else "dagster/partition_row_count": bad.frame.height,
            "dagster/column_lineage": lineage,
            "sample": sample,
        }
        context.log_event(dg.AssetMaterialization(side, partition=None if key == WHOLE else key, metadata=metadata))
