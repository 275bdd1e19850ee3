"""What team vision owns: handwritten digits, and the model that reads them."""

from datetime import date, datetime
from typing import Final

import polars as pl

from platform_assets import (
    BetterThanBaseline,
    BetterThanChampion,
    Calendar,
    Calibration,
    Card,
    DriftAgainstServed,
    Entity,
    LabelView,
    LatencyBudget,
    MemoryBudget,
    MetricFloor,
    Model,
    Multiclass,
    RawTable,
    SizeBudget,
    Spine,
    StratifiedSplit,
    Tables,
    Team,
    TorchTrainer,
    TrainingSet,
    WorstSlice,
)
from vision import contracts, sources
from vision.network import build

CALENDAR: Final = Calendar("UTC", date(2013, 1, 1), date(2013, 12, 31))

SCANS: Final = RawTable("scans", contracts.SCANS, "Handwritten digits, eight by eight.", read=sources.read_scans)
READINGS: Final = RawTable(
    "readings", contracts.READINGS, "What people read the scans as, an hour later.", read=sources.read_readings
)

SCAN: Final = Entity("scan", ("scan",), "an image of one digit")


def questions(tables: Tables, start: datetime, end: datetime) -> pl.LazyFrame:
    """Ask about each scan as it comes."""
    return tables["scans"].filter(pl.col("arrived").is_between(start, end, closed="left"))


READ_AS: Final = LabelView(
    name="read_as",
    entity=SCAN,
    table=READINGS,
    column="digit",
    delay=2 * sources.READ_AFTER,
    task=Multiclass(sources.DIGITS),
    description="The digit that a person read.",
)
WRITTEN: Final = TrainingSet(
    spine=Spine((SCANS,), contracts.SCANS, ("image",), questions),
    label=READ_AS,
    views=(),
    history_months=1,
    split=StratifiedSplit(share=0.1),
)

MIB: Final = 1 << 20

CARD: Final = Card(
    intended_use="Digits that somebody wrote alone in the boxes of a form, eight by eight pixels each: proposals to a person.",
    limitations=(
        "Learnt from 43 writers of 1998; other hands, other pens and crossed sevens may be read worse than the gates say.",
        "It always answers with a digit: of an empty box or a letter it reads one too.",
        "When the digits came is made up, so nothing is known of how the model ages.",
    ),
)

DIGITS: Final = Model(
    name="digits",
    description="Which digit an image of eight by eight pixels shows.",
    training_set=WRITTEN,
    trainer=TorchTrainer(build, epochs=20, batch_size=64, learning_rate=5e-3, patience=20),
    gates=(
        MetricFloor(metric="accuracy", minimum=0.98, reason="below it one of five forms of ten digits is read wrongly"),
        WorstSlice(
            metric="accuracy",
            by=("digit",),
            minimum=0.85,
            min_rows=30,
            reason="no digit is a blind spot; of 36 scans each, five misread are more than chance",
        ),
        BetterThanBaseline(
            baseline="gradient_boosting", metric="accuracy", margin=0.0, reason="trees on the pixels need no network"
        ),
        BetterThanChampion(metric="accuracy", margin=-0.01, severity="warn"),
        Calibration(maximum_error=0.05, reason="a person looks at what the model is unsure of"),
        DriftAgainstServed(maximum_psi=0.5, severity="warn"),
        LatencyBudget(p99_ms=5, reason="a form has a hundred boxes"),
        SizeBudget(maximum_bytes=MIB, reason="it is read on the scanner as well"),
        MemoryBudget(maximum_bytes=128 * MIB),
    ),
    card=CARD,
    slices=("digit",),
)

TEAM: Final = Team(
    name="vision",
    contact="team:vision",
    calendar=CALENDAR,
    raw_tables=(SCANS, READINGS),
    models=(DIGITS,),
)
