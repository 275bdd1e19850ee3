"""Does the model know what it could not have known: rows of the future, rows of the hold-out, the label in disguise?"""

from collections.abc import Iterable, Iterator

import polars as pl

from formats.task import Binary, Multiclass, Regression
from platform_assets.datasets.overlap import shared
from platform_assets.datasets.proxies import Separation, separations, weighed
from platform_assets.promotion.case import PromotionCase, time_range
from platform_assets.promotion.results import Finding, bounded, finding, listed
from platform_assets.promotion.spec import GateResult, NoLeakage
from platform_assets.tensors import element_names, unrolled


def no_leakage(case: PromotionCase, gate: NoLeakage) -> GateResult:
    """No column alone ranks the outcomes too well, no row is on both sides, and time goes forward."""
    twice = overlap_findings(case, dict.fromkeys([*case.candidate.key, case.candidate.time_column]))
    failures = [*time_findings(case), *twice]
    if failures:
        return listed(gate, failures, "")
    found = sorted(weighed(_separations(case), case.contract.shapes), key=lambda separation: -separation.auc)
    value = found[0].auc if found else 0.5
    first = f"the strongest is {found[0].column} by its {found[0].by}" if found else "none can be ranked"
    message = f"alone, a column reaches an AUC of {value:.4f} at most ({first}); {gate.maximum_auc} would be suspicious"
    return bounded(gate, value, gate.maximum_auc, message, most=True, table=[one._asdict() for one in found])


def _separations(case: PromotionCase) -> Iterator[Separation]:
    """How each input alone, of a tensor each element, ranks the outcomes.

    These are the two, or each class against the rest, or values above the median of training.
    """
    _ = case.label  # of the task's outcomes alone
    label, task = case.candidate.label, case.contract.task
    taken = [column for column in case.contract.columns if column.name != label]
    columns = [name for column in taken for name in element_names(column.name, column.shape)]
    wide, known = (unrolled(frame, case.contract.shapes) for frame in (case.frame, case.training))
    if isinstance(task, Binary):
        yield from separations(wide, known, columns, label)
        return
    for what, outcome in _outcomes(case, task):
        judged, learnt = (frame.with_columns(outcome.alias(label)) for frame in (wide, known))
        for separation in separations(judged, learnt, columns, label):
            yield separation._replace(by=f"{separation.by}, {what}")


def _outcomes(case: PromotionCase, task: Multiclass | Regression) -> Iterator[tuple[str, pl.Expr]]:
    label = pl.col(case.candidate.label)
    if isinstance(task, Multiclass):
        yield from ((f"of {name}", label.cast(pl.String) == name) for name in task.classes)
    else:
        middle = case.training.select(label.median()).item()
        yield f"above {middle:g}", label > middle


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
    both = shared(case.frame, case.training, list(columns))
    if both.height:
        yield finding("rows both in training set and hold-out", f"{both.height}, e.g. {both.row(0)}", "none")
