"""Does one column alone give the answer away? Asked of rows that were not looked at when its values were learnt.

Of two answers, by how well the column ranks them (AUC, in either direction): by its value, by its absence, a text by its rate.
Of more, by the share of the answer's entropy that the column's value tells.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from platform_assets.training.metrics import roc_auc

Floats = NDArray[np.float64]

BINS: Final = 10
_ABSENT: Final = -1
# As many examples as this are believed to have had the overall shares before a value was seen.
_PRIOR: Final = 1.0


# An element of a tensor is a part of a picture, and may say so much more: the middle of a 0 is empty, and of no other digit.
_PART: Final = 5.0


class Separation(NamedTuple):
    """How well a column alone ranks the outcomes, by its value or by whether it is absent."""

    column: str
    by: str
    auc: float


def separations(
    judged: pl.DataFrame, reference: pl.DataFrame, columns: Iterable[str], label: str
) -> Iterator[Separation]:
    """How each of `columns` ranks the 0 and 1 of `label` in `judged`; what texts stand for is learnt from `reference`."""
    truth = judged[label].cast(pl.Float64).to_numpy() == 1
    for column in columns:
        missing = judged[column].is_null().to_numpy()
        for by, auc in (
            ("value", _by_value(judged, reference, column, label, truth, ~missing)),
            ("absence", _auc(truth, missing.astype(float))),
        ):
            if auc is not None:
                yield Separation(column, by, auc)


def weighed(found: Iterable[Separation], tensors: Collection[str]) -> Iterator[Separation]:
    """What was `found`, as it counts: an element of one of `tensors` may come five times closer to an AUC of 1 than a column."""
    for one in found:
        name, element, _ = one.column.partition("[")
        if element and name in tensors:
            counts = max(0.5, 1 - _PART * (1 - one.auc))
            yield one._replace(auc=counts, by=f"{one.by}, an AUC of {one.auc:.4f} as a part of {name}")
        else:
            yield one


def information(judged: pl.DataFrame, reference: pl.DataFrame, column: str, label: str) -> float:
    """The share (0..1) of the entropy of `label` in `judged` that is gone once `column` is known.

    Numbers, the answer among them, count by their tenths in `reference`. What a value tells is learnt there too, so a column with a
    value of its own in each row tells nothing.
    """
    names = {"x": column, "y": label}
    seen, asked = (
        pl.DataFrame({name: _coded(frame[named], reference[named]) for name, named in names.items()})
        for frame in (reference, judged)
    )
    classes = seen.group_by("y").len("count")
    base = asked.join(classes, on="y", how="left", maintain_order="left")["count"].fill_null(0)
    prior = (base + 1) / (seen.height + classes.height + 1)
    pairs, values = seen.group_by("x", "y").len("both"), seen.group_by("x").len("alone")
    found = asked.join(pairs, on=["x", "y"], how="left", maintain_order="left")
    found = found.join(values, on="x", how="left", maintain_order="left").fill_null(0)
    told = (found["both"] + _PRIOR * prior) / (found["alone"] + _PRIOR)
    entropy = float(-np.log(prior.to_numpy()).mean())
    return max(0.0, 1 - float(-np.log(told.to_numpy()).mean()) / entropy)


def _coded(values: pl.Series, reference: pl.Series) -> pl.Series:
    """Texts as they are, numbers by the tenth of `reference` in which they lie."""
    if not _is_number(values.dtype):
        return values.cast(pl.String).fill_null("")
    numbers, known = values.cast(pl.Float64), reference.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
    places = np.searchsorted(edges, numbers.fill_null(np.nan).to_numpy(), side="left")
    missing = (numbers.is_null() | numbers.is_nan()).to_numpy()
    return pl.Series(np.where(missing, _ABSENT, places))


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _by_value(
    judged: pl.DataFrame,
    reference: pl.DataFrame,
    column: str,
    label: str,
    truth: NDArray[np.bool_],
    present: NDArray[np.bool_],
) -> float | None:
    if not present.any():
        return None
    number = _is_number(judged[column].dtype)
    ranked = judged[column].cast(pl.Float64) if number else _rates(judged, reference, column, label)
    return _auc(truth[present], ranked.filter(pl.Series(present)).to_numpy())


def _rates(judged: pl.DataFrame, reference: pl.DataFrame, column: str, label: str) -> pl.Series:
    """The label's rate in `reference` by the text; texts that are new have the overall rate."""
    answer: Any = pl.col(label).cast(pl.Float64)
    rates = reference.group_by(pl.col(column).cast(pl.String)).agg(rate=answer.mean())
    asked = judged.select(pl.col(column).cast(pl.String)).join(rates, on=column, how="left", maintain_order="left")
    return asked["rate"].fill_null(reference.select(answer.mean()).item())


def _auc(label: NDArray[np.bool_], values: Floats) -> float | None:
    """AUC in the direction in which the values rank better; None where there is one class or one value."""
    if not label.any() or label.all() or values.min() == values.max():
        return None
    found = roc_auc(label, np.nan_to_num(values))
    return max(found, 1 - found)
