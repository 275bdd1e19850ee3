"""Real examples of the other tasks as a trainer takes them: scikit-learn's handwritten digits, and its diabetes patients."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, Literal

import polars as pl
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split

from formats.contract import Column, ServingContract
from formats.task import Multiclass, Regression, Task, output_of
from platform_assets.training.spec import TrainingData, vocabulary

Name = Literal["digits", "diabetes"]
LABEL: Final = "answer"
TASKS: Final[Mapping[Name, Task]] = {"digits": Multiclass(tuple("0123456789")), "diabetes": Regression()}
TEXTS: Final[Mapping[Name, tuple[str, ...]]] = {"digits": (), "diabetes": ("sex",)}
_JUDGED: Final = 0.2


@cache
def digits() -> pl.DataFrame:
    """1797 images of 64 levels, and which digit each is."""
    found = load_digits()
    names = [f"p{row}{column}" for row in range(8) for column in range(8)]
    return pl.DataFrame(found.data, schema=names).with_columns(pl.Series(LABEL, found.target.astype(str)))


@cache
def diabetes() -> pl.DataFrame:
    """442 patients, as measured, and how far the disease went in a year. Ten readings in all are missing in the first rows."""
    found = load_diabetes(as_frame=True, scaled=False)
    frame = pl.DataFrame({name: found.frame[name].to_numpy() for name in found.frame.columns})
    sex = pl.when(pl.col("sex") == 1).then(pl.lit("one")).otherwise(pl.lit("two")).alias("sex")
    lost = pl.when(pl.int_range(pl.len()) % 44 == 7).then(None).otherwise("bmi").alias("bmi")
    return frame.with_columns(sex, lost).rename({"target": LABEL})


FRAMES: Final[Mapping[Name, Callable[[], pl.DataFrame]]] = {"digits": digits, "diabetes": diabetes}


def parts(name: Name) -> tuple[TrainingData, TrainingData]:
    """Four fifths to learn from, and one to stop by; the split is fixed, and stratified by class."""
    frame = FRAMES[name]()
    by = frame[LABEL].to_list() if isinstance(TASKS[name], Multiclass) else None
    learnt, judged = train_test_split(range(frame.height), test_size=_JUDGED, stratify=by, random_state=0)
    known = vocabulary(frame[learnt], TEXTS[name])
    numeric = numbers(name)
    return tuple(TrainingData.of(frame[rows], LABEL, numeric, known, task=TASKS[name]) for rows in (learnt, judged))  # type: ignore[return-value]


def numbers(name: Name) -> tuple[str, ...]:
    """The columns that are numbers."""
    return tuple(column for column in FRAMES[name]().columns if column not in {LABEL, *TEXTS[name]})


def contract(name: Name) -> ServingContract:
    """What a model of these examples is asked."""
    columns = (
        *(Column(name=column, type="float", nullable=True) for column in numbers(name)),
        *(Column(name=column, type="text") for column in TEXTS[name]),
    )
    task = TASKS[name]
    return ServingContract(model=f"tests/{name}", columns=columns, output=output_of(task), other_task=task)  # type: ignore[arg-type]
