"""Roadbed's public API: what a team may import, a frozen list that a test holds.

Names are loaded when they are first asked for, so that importing one does not import Dagster, pandera and the rest.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.task import Binary, Multiclass, Regression
    from platform_assets.calendar import Calendar
    from platform_assets.code_location import team_definitions
    from platform_assets.contracts.example import example
    from platform_assets.contracts.outcomes import DefaultValue, LastGood
    from platform_assets.contracts.rules import RowRule
    from platform_assets.contracts.spec import Contract
    from platform_assets.contracts.tensor import Tensor
    from platform_assets.datasets.cleaning import Clean, Deduplicate
    from platform_assets.datasets.sampling import Augment, ClassWeights, Oversample, Undersample
    from platform_assets.datasets.spec import LeakageBounds, Spine, TrainingSet
    from platform_assets.datasets.splits import (
        GroupedSplit,
        KFold,
        RandomSplit,
        StratifiedSplit,
        TimeSplit,
        WalkForward,
    )
    from platform_assets.features.aggregations import Count, Distinct, Last, Max, Mean, Min, Rate, Sum
    from platform_assets.features.labels import LabelView
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
        CodeKept,
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
        SignatureVerified,
        SizeBudget,
        SliceGap,
        TeamMeasured,
        WorstSlice,
    )
    from platform_assets.team import Model, Team
    from platform_assets.training.function_trainer import FunctionTrainer
    from platform_assets.training.lightgbm_trainer import LightGBMTrainer
    from platform_assets.training.networks import linear_network
    from platform_assets.training.sklearn_trainer import SklearnTrainer
    from platform_assets.training.spec import TorchTrainer, TrainedModel, TrainingData
    from platform_assets.training.trainer import Trainer
    from platform_assets.training.transforms import Impute, OneHot, Scale, SelectBest
    from platform_assets.training.xgboost_trainer import XGBoostTrainer
    from platform_assets.tuning.spec import OneOf, Real, Search, Whole

_HOMES = {
    "formats.task": ("Binary", "Multiclass", "Regression"),
    "platform_assets.calendar": ("Calendar",),
    "platform_assets.code_location": ("team_definitions",),
    "platform_assets.contracts.example": ("example",),
    "platform_assets.contracts.outcomes": ("DefaultValue", "LastGood"),
    "platform_assets.contracts.rules": ("RowRule",),
    "platform_assets.contracts.spec": ("Contract",),
    "platform_assets.contracts.tensor": ("Tensor",),
    "platform_assets.datasets.cleaning": ("Clean", "Deduplicate"),
    "platform_assets.datasets.sampling": ("Augment", "ClassWeights", "Oversample", "Undersample"),
    "platform_assets.datasets.spec": ("LeakageBounds", "Spine", "TrainingSet"),
    "platform_assets.datasets.splits": (
        "GroupedSplit",
        "KFold",
        "RandomSplit",
        "StratifiedSplit",
        "TimeSplit",
        "WalkForward",
    ),
    "platform_assets.features.aggregations": ("Count", "Distinct", "Last", "Max", "Mean", "Min", "Rate", "Sum"),
    "platform_assets.features.labels": ("LabelView",),
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
        "CodeKept",
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
        "SignatureVerified",
        "SizeBudget",
        "SliceGap",
        "TeamMeasured",
        "WorstSlice",
    ),
    "platform_assets.team": ("Model", "Team"),
    "platform_assets.training.function_trainer": ("FunctionTrainer",),
    "platform_assets.training.lightgbm_trainer": ("LightGBMTrainer",),
    "platform_assets.training.networks": ("linear_network",),
    "platform_assets.training.sklearn_trainer": ("SklearnTrainer",),
    "platform_assets.training.spec": ("TorchTrainer", "TrainedModel", "TrainingData"),
    "platform_assets.training.trainer": ("Trainer",),
    "platform_assets.training.transforms": ("Impute", "OneHot", "Scale", "SelectBest"),
    "platform_assets.training.xgboost_trainer": ("XGBoostTrainer",),
    "platform_assets.tuning.spec": ("OneOf", "Real", "Search", "Whole"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Augment",
    "BetterThanBaseline",
    "BetterThanChampion",
    "Binary",
    "Calendar",
    "Calibration",
    "Card",
    "CardComplete",
    "ClassWeights",
    "Clean",
    "CodeKept",
    "Contract",
    "Count",
    "Deduplicate",
    "DefaultValue",
    "DependenciesScanned",
    "Deterministic",
    "Distinct",
    "DriftAgainstServed",
    "Entity",
    "FeatureView",
    "FileSource",
    "FrameworkParity",
    "FunctionTrainer",
    "GroupedSplit",
    "Impute",
    "KFold",
    "LabelView",
    "Last",
    "LastGood",
    "LatencyBudget",
    "LeakageBounds",
    "LightGBMTrainer",
    "Max",
    "Mean",
    "MemoryBudget",
    "MetricCeiling",
    "MetricFloor",
    "Min",
    "Model",
    "Multiclass",
    "NoLeakage",
    "OneHot",
    "OneOf",
    "Oversample",
    "PostgresSource",
    "ProvenanceComplete",
    "RandomSplit",
    "Rate",
    "RawTable",
    "Real",
    "Regression",
    "RetrainingRule",
    "Robust",
    "RowRule",
    "Scale",
    "Search",
    "SelectBest",
    "ServingSkew",
    "SignatureEqualsContract",
    "SignatureVerified",
    "SizeBudget",
    "SklearnTrainer",
    "SliceGap",
    "Source",
    "Spine",
    "SqlView",
    "StratifiedSplit",
    "Sum",
    "Tables",
    "Team",
    "TeamMeasured",
    "Tensor",
    "Ticks",
    "TimeSplit",
    "TorchTrainer",
    "TrainedModel",
    "Trainer",
    "TrainingData",
    "TrainingSet",
    "Undersample",
    "WalkForward",
    "Whole",
    "WindowedView",
    "WorstSlice",
    "XGBoostTrainer",
    "example",
    "linear_network",
    "team_definitions",
    "windowed_sums",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"platform_assets has no public name {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(home), name)
