"""A team on scikit-learn's handwritten digits, with a model of numbers: how much ink did one take?

Four fifths, stratified by digit, arrive in January and are trained on; the last fifth arrives in February and judges.
"""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Any

import pandera.polars as pa
import polars as pl
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from platform_assets import (
    BetterThanBaseline,
    Calendar,
    Card,
    Contract,
    Entity,
    LabelView,
    MetricFloor,
    Model,
    RandomSplit,
    RawTable,
    Regression,
    Spine,
    Tables,
    Team,
    TorchTrainer,
    TrainingSet,
    linear_network,
)

SIDE, LEVELS = 8, 16
PIXELS = tuple(f"p{row}{column}" for row in range(SIDE) for column in range(SIDE))
HOUR = timedelta(hours=1)
Instant = Annotated[pl.Datetime, "us", "UTC"]
CALENDAR = Calendar("UTC", date(2013, 1, 1), date(2013, 3, 31))
NOW = datetime(2013, 3, 1, 1, tzinfo=UTC)
CUTOFF = "2013-01-01"
DAYS = ("2013-01-01", "2013-02-28")


@cache
def scans() -> pl.DataFrame:
    """`scan`, when it arrived, the pixels, `digit` and `ink` (the sum of the pixels); the split is fixed."""
    digits = load_digits()
    frame = pl.DataFrame(digits.data, schema=list(PIXELS)).with_columns(digit=digits.target.astype(str))
    first, last = train_test_split(range(frame.height), test_size=0.2, stratify=digits.target, random_state=0)
    january, february = (
        frame[part].with_columns(asked=_spread(start, end, len(part)))
        for part, start, end in (
            (first, datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 31, tzinfo=UTC)),
            (last, datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 2, 28, tzinfo=UTC)),
        )
    )
    return pl.concat([january, february]).with_columns(
        scan=pl.format("scan-{}", pl.int_range(pl.len())),
        ink=pl.sum_horizontal(PIXELS),
    )


def _spread(start: datetime, end: datetime, rows: int) -> pl.Series:
    return pl.Series([start + (end - start) * place / rows for place in range(rows)], dtype=pl.Datetime("us", "UTC"))


def _schema(name: str, **columns: tuple[Any, Any]) -> type[pa.DataFrameModel]:
    """A pandera model with a column a pixel, which nobody writes out."""
    annotations = {column: kind for column, (kind, _) in columns.items()}
    fields = {column: field for column, (_, field) in columns.items()}
    return type(name, (pa.DataFrameModel,), {"__annotations__": annotations, "__module__": __name__, **fields})


TEXT, TIME = (str, pa.Field()), (Instant, pa.Field())
PIXEL_COLUMNS = {name: (float, pa.Field(ge=0, le=LEVELS, metadata={"unit": "level"})) for name in PIXELS}
SCAN_CONTRACT = Contract(
    _schema("Scans", scan=TEXT, asked=TIME, **PIXEL_COLUMNS), key=("scan",), event_time="asked", known_time="asked"
)
READING_CONTRACT = Contract(
    _schema(
        "Readings", scan=TEXT, digit=(str, pa.Field(isin=list("0123456789"))), ink=(float, pa.Field(ge=0)), read_at=TIME
    ),
    key=("scan",),
    event_time="read_at",
    known_time="read_at",
)


def read_scans(start: datetime, end: datetime) -> pl.LazyFrame:
    """The images of [start, end)."""
    rows = scans().lazy().filter(pl.col("asked").is_between(start, end, closed="left"))
    return rows.select("scan", "asked", *PIXELS)


def read_readings(start: datetime, end: datetime) -> pl.LazyFrame:
    """What a person read of them, an hour later."""
    rows = scans().lazy().with_columns(read_at=pl.col("asked") + HOUR)
    return rows.filter(pl.col("read_at").is_between(start, end, closed="left")).select(
        "scan", "digit", "ink", "read_at"
    )


def questions(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """Each image is asked about as it arrives."""
    return tables["scans"].filter(pl.col("asked").is_between(start, end, closed="left"))


SCANS = RawTable("scans", SCAN_CONTRACT, "Handwritten digits, 8 by 8.", read=read_scans)
READINGS = RawTable("readings", READING_CONTRACT, "What they were read as.", read=read_readings)
SCAN = Entity("scan", ("scan",), "an image")


DATASET = TrainingSet(
    Spine((SCANS,), SCAN_CONTRACT, PIXELS, questions),
    LabelView("ink", SCAN, READINGS, "ink", delay=2 * HOUR, task=Regression()),
    (),
    history_months=1,
    split=RandomSplit(share=0.1),
)
CARD = Card(
    intended_use="How much ink a digit takes that a person wrote alone on a form.",
    limitations=("Eight by eight pixels.",),
)


def ink_model() -> Model:
    """How much ink is it?"""
    return Model(
        name="ink",
        description="How much ink an image took.",
        training_set=DATASET,
        trainer=TorchTrainer(
            linear_network, epochs=60, batch_size=32, learning_rate=2.0, weight_decay=0.0, patience=60
        ),
        gates=(
            MetricFloor(metric="r2", minimum=0.95),
            BetterThanBaseline(baseline="base_rate", metric="mae", margin=1.0),
        ),
        card=CARD,
        slices=("p33",),
    )


def team(*models: Model) -> Team:
    """The team with these models."""
    return Team("optics", "team:optics", CALENDAR, raw_tables=(SCANS, READINGS), models=models)
