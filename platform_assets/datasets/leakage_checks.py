"""The checks of a training set: does it know the future, does a column know the answer, is something in two parts?

The gate `no_leakage` asks the last two of training set and hold-out; both use the functions of proxies.py and overlap.py.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import dagster as dg
import polars as pl

from formats.errors import DataError
from platform_assets.contracts.assets import markdown_table
from platform_assets.datasets.known_times import unasked_questions, uncomputable_rows, unknown_values
from platform_assets.datasets.overlap import repeated_share, shared
from platform_assets.datasets.proxies import information, separations, weighed
from platform_assets.datasets.spec import TrainingSet
from platform_assets.features.spec import FeatureView, RawTable, Tables
from platform_assets.ownership import Owner
from platform_assets.tensors import element_names, unrolled

CHECKS: Final = {
    "known_times": "Every value was known when the question was asked, computed again from what was known by then.",
    "proxies": "No column alone gives the answer away.",
    "split_overlap": "No row, copy of a row or declared entity is in two parts.",
}

_SHOWN: Final = 20
# Where, among the prediction times in order, views and questions are computed again.
_PLACES: Final = (1 / 6, 1 / 2, 5 / 6)


class Days(Protocol):
    """Reads a table's rows of some days, as far as they are there: all rows of a table without days, None if there are none."""

    def __call__(self, table: RawTable | FeatureView, days: list[str]) -> pl.LazyFrame | None:
        """The rows of `table` that became known on `days`."""


class TrainingRows(NamedTuple):
    """A training set as it is stored, and what it was made of: the tables of its window, and any days of any table."""

    owner: Owner
    dataset: TrainingSet
    frame: pl.DataFrame
    tables: Tables
    days: Days


class Verdict(NamedTuple):
    """What a check found: all of `failures`, and the table that it rests on."""

    failures: list[str]
    good: str
    table: pl.DataFrame | None = None


def leakage_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The check specs of the training set `key`."""
    return [dg.AssetCheckSpec(name, asset=key, description=description) for name, description in CHECKS.items()]


def leakage_results(key: dg.AssetKey, rows: TrainingRows) -> list[dg.AssetCheckResult]:
    """What each check says; one that cannot be evaluated has failed."""
    judges = (known_times, proxies, split_overlap)
    return [_result(key, name, judge, rows) for name, judge in zip(CHECKS, judges, strict=True)]


def known_times(rows: TrainingRows) -> Verdict:
    """Joined values against the views' known times; views and questions against what their tables knew, at a few instants."""
    time = rows.dataset.spine.prediction_time
    failures = [
        f"{late.height} rows have values of {view.name} that it did not know when they were asked, first {late.row(0)}"
        for view in rows.dataset.views
        if not (late := unknown_values(rows.frame, time, view, rows.tables[view.name])).is_empty()
    ]
    instants = _instants(rows.frame[time])
    for instant in instants:
        failures += _computed_again(rows, instant)
    told = ", ".join(instant.isoformat() for instant in instants)
    return Verdict(failures, f"every value was known; views and questions computed again as of {told} are the same")


def proxies(rows: TrainingRows) -> Verdict:
    """Each input alone, of a tensor each element, learnt from the last fold's training part and asked of its validation part."""
    dataset, label, bounds = rows.dataset, rows.dataset.label.column, rows.dataset.leakage
    wide = unrolled(rows.frame, dataset.shapes)
    inputs = [name for column in dataset.inputs for name in element_names(column, dataset.shapes.get(column, ()))]
    training, validation = dataset.split.divide(wide, dataset.roles)[-1]
    if validation[label].n_unique() < 2:
        return Verdict([f"all {validation.height} rows that validate have one answer: nothing can be ranked"], "")
    if _is_binary(rows.frame[label]):
        found = pl.DataFrame(list(weighed(separations(validation, training, inputs, label), dataset.shapes)))
        measure, bound = "auc", bounds.maximum_auc
    else:
        told = {name: information(validation, training, name, label) for name in inputs}
        found = pl.DataFrame({"column": list(told), "information": list(told.values())})
        measure, bound = "information", bounds.maximum_information
    if found.is_empty():
        return Verdict([f"no column varies in the {validation.height} rows that validate"], "")
    table = found.sort(measure, "column", descending=[True, False])
    failures = [
        f"{row['column']} alone reaches {measure} {row[measure]:.4f}" + (f" by its {row['by']}" if "by" in row else "")
        for row in table.filter(pl.col(measure) > bound).iter_rows(named=True)
    ]
    strongest = f"{table['column'][0]}, {measure} {table[measure][0]:.4f}"
    return Verdict(failures, f"the strongest is {strongest}; {bound} would be suspicious", table)


def split_overlap(rows: TrainingRows) -> Verdict:
    """What the parts of each fold share."""
    dataset, bounds, failures = rows.dataset, rows.dataset.leakage, []
    apart = bounds.apart or dataset.split.by
    folds = dataset.split.divide(rows.frame, dataset.roles)
    for number, (training, validation) in enumerate(folds, start=1):
        for what, columns in (("rows", dataset.key), (f"entities by {', '.join(apart)}", apart)):
            both = shared(training, validation, columns) if columns else pl.DataFrame()
            if both.height:
                failures.append(f"fold {number}: {both.height} {what} are in both parts, first {both.row(0)}")
        # Few values make rows alike by chance; copies of a row are asked at the same instant as well.
        share = repeated_share(training, validation, (dataset.roles.time, *dataset.inputs, dataset.label.column))
        if share > bounds.maximum_repeats:
            told = f"{share:.2%} of the rows that validate repeat one that was learnt from"
            failures.append(f"fold {number}: {told}; {bounds.maximum_repeats:.2%} at most")
    return Verdict(failures, f"the parts of {len(folds)} folds share nothing")


def _computed_again(rows: TrainingRows, instant: datetime) -> Iterator[str]:
    """What does not come out again from what was known by `instant`."""
    dataset, at = rows.dataset, instant.isoformat()
    strange = unasked_questions(rows.frame, dataset.spine, rows.tables, instant)
    if strange.height:
        yield f"{strange.height} questions could not be asked as they are at {at}, first {strange.row(0)}"
    for view in dataset.views:
        rest = _uncomputable(rows, view, instant)
        if rest.height:
            yield f"{rest.height} rows of {view.name} do not follow from what was known at {at}, first {rest.row(0)}"


def _uncomputable(rows: TrainingRows, view: FeatureView, instant: datetime) -> pl.DataFrame:
    calendar = rows.owner.calendar
    day = calendar.key_of(instant)
    stored = rows.days(view, [day])
    if stored is None:
        return pl.DataFrame()
    sources = {
        source.table.name: _source(rows, source.table, calendar.days_up_to(day, source.lookback_days + 1))
        for source in view.sources
    }
    return uncomputable_rows(view, sources, stored, (calendar.start(day), calendar.day_end(day)), instant)


def _source(rows: TrainingRows, table: RawTable, days: list[str]) -> pl.LazyFrame:
    found = rows.days(table, days)
    if found is None:
        raise DataError(
            "data-missing",
            f"{rows.owner.team}/{table.name} has no rows of {days[0]} to {days[-1]}, and there are views made of them",
            "materialize these days again",
        )
    return found


def _instants(times: pl.Series) -> list[datetime]:
    ordered = times.drop_nulls().unique().sort()
    return sorted({ordered[int(place * (len(ordered) - 1))] for place in _PLACES})


def _is_binary(label: pl.Series) -> bool:
    number = label.dtype.is_numeric() or label.dtype == pl.Boolean
    return number and set(label.unique()) <= {0, 1}


def _result(
    key: dg.AssetKey, name: str, judge: Callable[[TrainingRows], Verdict], rows: TrainingRows
) -> dg.AssetCheckResult:
    try:
        failures, good, table = judge(rows)
    except Exception as error:  # noqa: BLE001 - views and questions are a team's code: what it raises here is a finding
        failures, good, table = [f"could not be evaluated: {type(error).__name__}: {error}"], "", None
    shown: dict[str, Any] = (
        {} if table is None else {"by column": dg.MetadataValue.md(markdown_table(table.head(_SHOWN)))}
    )
    if failures:
        shown["findings"] = dg.MetadataValue.md("\n".join(f"- {failure}" for failure in failures[:_SHOWN]))
        shown["runbook"] = "docs/training-sets.md#leakage"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not failures,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(failures[:3]) or good,
        metadata=shown,
    )
