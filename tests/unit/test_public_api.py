"""What a team may import: a frozen list, whose names load one by one and cost nothing until then."""

import inspect
import subprocess
import sys

import pytest

import platform_assets
from tests.support.processes import ROOT

# Adding a name is a decision; taking one away breaks every team.
FROZEN = [
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


def test_the_list_is_frozen() -> None:
    assert platform_assets.__all__ == FROZEN


@pytest.mark.parametrize("name", FROZEN)
def test_every_name_loads(name: str) -> None:
    found = getattr(platform_assets, name)
    if inspect.isclass(found):
        assert found.__name__ == name
        assert f"{found.__module__}.".startswith(f"{platform_assets._HOME_OF[name]}.")
        assert found.__doc__


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no public name 'Modle'; it has .*Model"):
        _ = platform_assets.Modle


def test_the_import_alone_is_cheap() -> None:
    program = "import sys, platform_assets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"dagster", "pandera", "polars", "numpy", "torch", "mlflow", "msgspec"}


def test_one_name_does_not_bring_all() -> None:
    program = "import sys; from platform_assets import RetrainingRule; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"dagster", "pandera", "torch", "mlflow"}
