"""Does the model know what it could not have known: rows of the future, rows of the hold-out, the label in disguise?"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from formats.contract import Column
from platform_assets.promotion.case import PromotionCase, time_range
from platform_assets.promotion.results import Finding, bounded, finding, listed
from platform_assets.promotion.spec import GateResult, NoLeakage
from platform_assets.training.metrics import roc_auc

Floats = NDArray[np.float64]


class Separation(NamedTuple):
    """How well a column alone ranks the outcomes, by its value or by whether it is absent."""

    column: str
    by: str
    auc: float


def no_leakage(case: PromotionCase, gate: NoLeakage) -> GateResult:
    """No column alone ranks the outcomes too well, no row is on both sides, and time goes forward."""
    shared = overlap_findings(case, dict.fromkeys([*case.candidate.key, case.candidate.time_column]))
    failures = [*time_findings(case), *shared]
    if failures:
        return listed(gate, failures, "")
    found = sorted(_separations(case), key=lambda separation: -separation.auc)
    value = found[0].auc if found else 0.5
    first = f"the strongest is {found[0].column} by its {found[0].by}" if found else "none can be ranked"
    message = f"alone, a column reaches an AUC of {value:.4f} at most ({first}); {gate.maximum_auc} would be suspicious"
    return bounded(gate, value, gate.maximum_auc, message, most=True, table=[one._asdict() for one in found])


def time_findings(case: PromotionCase) -> Iterator[Finding]:
    """Rows outside of the declared window, and training rows that are not before the cutoff."""
    candidate = case.candidate
    first, last = case.judged
    if first < candidate.judged_from or last >= candidate.judged_until:
        declared = f"in [{candidate.judged_from.isoformat()}, {candidate.judged_until.isoformat()})"
        yield finding("time of hold-out rows", f"{first.isoformat()} to {last.isoformat()}", declared)
    if first < candidate.cutoff:
        yield finding("first hold-out row", first.isoformat(), f"not before the cutoff {candidate.cutoff.isoformat()}")
    newest = time_range(case.training, candidate.time_column)[1]
    if newest >= candidate.cutoff:
        yield finding("last training row", newest.isoformat(), f"before the cutoff {candidate.cutoff.isoformat()}")


def overlap_findings(case: PromotionCase, columns: Iterable[str]) -> Iterator[Finding]:
    """Rows of the hold-out whose `columns` are those of a training row."""
    key = list(columns)
    shared = (
        case.frame.select(key).unique().join(case.training.select(key).unique(), on=key, how="semi", nulls_equal=True)
    )
    if shared.height:
        yield finding("rows both in training set and hold-out", f"{shared.height}, e.g. {shared.row(0)}", "none")


def _separations(case: PromotionCase) -> Iterator[Separation]:
    for column in case.contract.columns:
        if column.name == case.candidate.label:
            continue
        missing = case.frame[column.name].is_null().to_numpy()
        for by, auc in (
            ("value", _by_value(case, column, ~missing)),
            ("absence", _auc(case.label, missing.astype(float))),
        ):
            if auc is not None:
                yield Separation(column.name, by, auc)


def _by_value(case: PromotionCase, column: Column, present: NDArray[np.bool_]) -> float | None:
    values = case.frame[column.name]
    ranked = _rates(case, column.name) if column.type == "text" else values.cast(pl.Float64)
    return _auc(case.label[present], ranked.filter(pl.Series(present)).to_numpy())


def _rates(case: PromotionCase, name: str) -> pl.Series:
    """The label's rate in the training set by the text; texts that are new have the overall rate."""
    label = pl.col(case.candidate.label).cast(pl.Float64)
    rates = case.training.group_by(pl.col(name).cast(pl.String)).agg(rate=label.mean())
    asked = case.frame.select(pl.col(name).cast(pl.String)).join(rates, on=name, how="left", maintain_order="left")
    return asked["rate"].fill_null(case.training.select(label.mean()).item())


def _auc(label: NDArray[np.bool_], values: Floats) -> float | None:
    """AUC in the direction in which the values rank better; None where there is one class or one value."""
    if not label.any() or label.all() or values.min() == values.max():
        return None
    found = roc_auc(label, np.nan_to_num(values))
    return max(found, 1 - found)
