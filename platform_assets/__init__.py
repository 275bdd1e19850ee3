"""Roadbed's public API: what a team may import, a frozen list that a test holds.

Names are loaded when they are first asked for, so that importing one does not import Dagster, pandera and the rest.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_assets.calendar import Calendar
    from platform_assets.code_location import team_definitions
    from platform_assets.contracts.example import example
    from platform_assets.contracts.outcomes import DefaultValue, LastGood
    from platform_assets.contracts.rules import RowRule
    from platform_assets.contracts.spec import Contract
    from platform_assets.datasets.spec import Label, Spine, TrainingSet
    from platform_assets.features.aggregations import Count, Distinct, Last, Max, Mean, Min, Rate, Sum
    from platform_assets.features.sources import FileSource, PostgresSource
    from platform_assets.features.spec import Entity, FeatureView, RawTable, Source, Tables
    from platform_assets.features.sql import SqlView
    from platform_assets.features.windowed import WindowedView
    from platform_assets.features.windows import Ticks, windowed_sums
    from platform_assets.monitoring.retraining import RetrainingRule
    from platform_assets.promotion.spec import (
        BetterThanBaseline,
        BetterThanChampion,
        Calibration,
        Card,
        CardComplete,
        DependenciesScanned,
        Deterministic,
        DriftAgainstServed,
        FrameworkParity,
        LatencyBudget,
        MemoryBudget,
        MetricCeiling,
        MetricFloor,
        NoLeakage,
        ProvenanceComplete,
        Robust,
        ServingSkew,
        SignatureEqualsContract,
        SizeBudget,
        SliceGap,
        TeamMeasured,
        WorstSlice,
    )
    from platform_assets.team import Model, Team
    from platform_assets.training.spec import TorchTrainer, TrainingData

_HOMES = {
    "platform_assets.calendar": ("Calendar",),
    "platform_assets.code_location": ("team_definitions",),
    "platform_assets.contracts.example": ("example",),
    "platform_assets.contracts.outcomes": ("DefaultValue", "LastGood"),
    "platform_assets.contracts.rules": ("RowRule",),
    "platform_assets.contracts.spec": ("Contract",),
    "platform_assets.datasets.spec": ("Label", "Spine", "TrainingSet"),
    "platform_assets.features.aggregations": ("Count", "Distinct", "Last", "Max", "Mean", "Min", "Rate", "Sum"),
    "platform_assets.features.sources": ("FileSource", "PostgresSource"),
    "platform_assets.features.spec": ("Entity", "FeatureView", "RawTable", "Source", "Tables"),
    "platform_assets.features.sql": ("SqlView",),
    "platform_assets.features.windowed": ("WindowedView",),
    "platform_assets.features.windows": ("Ticks", "windowed_sums"),
    "platform_assets.monitoring.retraining": ("RetrainingRule",),
    "platform_assets.promotion.spec": (
        "BetterThanBaseline",
        "BetterThanChampion",
        "Calibration",
        "Card",
        "CardComplete",
        "DependenciesScanned",
        "Deterministic",
        "DriftAgainstServed",
        "FrameworkParity",
        "LatencyBudget",
        "MemoryBudget",
        "MetricCeiling",
        "MetricFloor",
        "NoLeakage",
        "ProvenanceComplete",
        "Robust",
        "ServingSkew",
        "SignatureEqualsContract",
        "SizeBudget",
        "SliceGap",
        "TeamMeasured",
        "WorstSlice",
    ),
    "platform_assets.team": ("Model", "Team"),
    "platform_assets.training.spec": ("TorchTrainer", "TrainingData"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BetterThanBaseline",
    "BetterThanChampion",
    "Calendar",
    "Calibration",
    "Card",
    "CardComplete",
    "Contract",
    "Count",
    "DefaultValue",
    "DependenciesScanned",
    "Deterministic",
    "Distinct",
    "DriftAgainstServed",
    "Entity",
    "FeatureView",
    "FileSource",
    "FrameworkParity",
    "Label",
    "Last",
    "LastGood",
    "LatencyBudget",
    "Max",
    "Mean",
    "MemoryBudget",
    "MetricCeiling",
    "MetricFloor",
    "Min",
    "Model",
    "NoLeakage",
    "PostgresSource",
    "ProvenanceComplete",
    "Rate",
    "RawTable",
    "RetrainingRule",
    "Robust",
    "RowRule",
    "ServingSkew",
    "SignatureEqualsContract",
    "SizeBudget",
    "SliceGap",
    "Source",
    "Spine",
    "SqlView",
    "Sum",
    "Tables",
    "Team",
    "TeamMeasured",
    "Ticks",
    "TorchTrainer",
    "TrainingData",
    "TrainingSet",
    "WindowedView",
    "WorstSlice",
    "example",
    "team_definitions",
    "windowed_sums",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"platform_assets has no public name {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(home), name)
