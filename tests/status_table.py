"""The README's status table, from test results: what works, what works on a stand-in, what was not run here.

python -m tests.status_table        after `make test` and `make test-full`, which leave their results in .test-results/
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / ".test-results"
README = ROOT / "README.md"
MARKS = ("<!-- status:begin -->", "<!-- status:end -->")


class Feature(NamedTuple):
    """A thing that a reader may rely on, the modules of the tests that hold it, and what stands in for the real thing."""

    what: str
    tests: tuple[str, ...]
    stand_in: str = ""


_RUN = "tests.integration"

FEATURES = (
    Feature("Digests, signatures, bundle and release formats", ("tests.unit.formats", "tests.property")),
    Feature("Contracts: block, quarantine, degrade", ("tests.unit.contracts", "tests.property.test_one_pass")),
    Feature("Feature views, point-in-time join, training sets", ("tests.unit.features", "tests.unit.datasets")),
    Feature(
        "Splits, samples, fitted transformations", ("tests.property.test_splits", "tests.unit.training.test_transforms")
    ),
    Feature(
        "Several classes, numbers",
        (
            "tests.graph.test_tasks",
            "tests.unit.training.test_tasks",
            "tests.unit.training.test_trainers_by_task",
            "tests.unit.training.test_measures",
            "tests.unit.promotion.test_gates_tasks",
            "tests.unit.serving.test_tasks",
        ),
    ),
    Feature(
        "Tensors: requests that are images",
        (
            "tests.unit.contracts.test_tensors",
            "tests.unit.serving.test_tensors",
            "tests.unit.training.test_tensors",
            "tests.unit.promotion.test_gates_tensors",
        ),
    ),
    Feature(
        "Trainers: torch, LightGBM, XGBoost, scikit-learn, functions; settings for one run",
        (
            "tests.unit.training.test_trainers",
            "tests.unit.training.test_parity",
            "tests.graph.test_trainers",
            f"{_RUN}.test_boosted_model",
        ),
    ),
    Feature(
        "Searches for better settings: TPE, by lot, grid, pruning; parallel, resumed, in MLflow",
        ("tests.unit.tuning", "tests.graph.test_search"),
    ),
    Feature("A team in YAML; `roadbed new team`", ("tests.unit.components", f"{_RUN}.test_new_team")),
    Feature(
        "A version built again from its record; uncommitted code is kept",
        ("tests.unit.reproduction", "tests.unit.training.test_uncommitted"),
    ),
    Feature("The flights: sources, views, network", ("tests.unit.aviation",)),
    Feature(
        "The handwritten digits: sources, network, the whole road", ("tests.unit.vision", "tests.graph.test_vision")
    ),
    Feature("Lake, bundle store, online store (Delta, files, LMDB)", ("tests.contract",)),
    Feature("Asset graph, gates and every way round them", ("tests.graph",)),
    Feature("Ledger, promotion authority, attacks", (f"{_RUN}.test_authority.", "tests.unit.promotion")),
    Feature(
        "People by key or by an issuer's token",
        ("tests.unit.promotion.test_tokens", "tests.unit.promotion.test_spoken"),
    ),
    Feature(
        "Ledger in Postgres, authority as a service", (f"{_RUN}.test_postgres_ledger", f"{_RUN}.test_authority_service")
    ),
    Feature(
        "Attestations, export and import",
        ("tests.unit.promotion.test_signed", "tests.unit.promotion.test_carry", "tests.unit.serving.test_attested"),
    ),
    Feature("Retention by reachability", ("tests.unit.retention", f"{_RUN}.test_retention_race")),
    Feature("A person's rows erased, with their past", ("tests.unit.erasure",)),
    Feature("Services' logs are bounded", ("tests.unit.test_log_rotation",)),
    Feature("Online store in Redis", (f"{_RUN}.test_redis", "tests.unit.test_online_settings")),
    Feature("Endpoint: server, hot swap, supervisor", (f"{_RUN}.test_endpoint_server", f"{_RUN}.test_supervisor")),
    Feature(
        "Endpoints asleep, woken, restarted, and what they cost",
        tuple(f"{_RUN}.test_endpoint_{name}" for name in ("sleep", "restart", "commands")),
    ),
    Feature("kill -9 at every failpoint", ("tests.integration.test_kills",)),
    Feature("MLflow runs always end; orphans are reaped", (f"{_RUN}.test_experiment_tracking", f"{_RUN}.test_reaper")),
    Feature("Bad data and bad days", ("tests.graph.test_bad_data", f"{_RUN}.test_bad_days")),
    Feature("`roadbed up` and `down`, interrupted anywhere", (f"{_RUN}.test_up_down", f"{_RUN}.test_up_interrupted")),
    Feature("The Dagster UI in a browser", ("tests.e2e",)),
    Feature(
        "Every command in the documentation",
        ("tests.unit.docs.test_documented_commands", f"{_RUN}.test_documented_commands"),
    ),
    Feature("Raw tables from Postgres and S3-compatible storage", (f"{_RUN}.test_outside_sources",)),
    Feature(
        "Lake in S3-compatible storage",
        (f"{_RUN}.test_lake_in_bucket", "tests.contract.test_lake_commits", "tests.unit.test_storage_settings"),
    ),
    Feature("Kubernetes", ()),
    Feature("Bundles in S3-compatible storage", ()),
)


def table(cases: dict[str, str]) -> str:
    """The table in markdown. `cases` maps `module.test` to passed, failed or skipped."""
    rows = [f"| {feature.what} | {verdict(feature, cases)} |" for feature in FEATURES]
    return "\n".join(["| what | status |", "|---|---|", *rows])


def verdict(feature: Feature, cases: dict[str, str]) -> str:
    """What the results say about `feature`."""
    if not feature.tests:
        return "not built yet"
    mine = [outcome for name, outcome in cases.items() if name.startswith(feature.tests)]
    if not mine:
        return "not run here"
    if "failed" in mine:
        return f"FAILS: {mine.count('failed')} of {len(mine)} tests"
    works = f"works on a stand-in: {feature.stand_in}" if feature.stand_in else "works"
    return f"{works} ({mine.count('passed')} tests)"


def outcomes(files: Iterable[Path]) -> dict[str, str]:
    """Outcome by test, from JUnit files."""
    found: dict[str, str] = {}
    for file in files:
        for case in ET.parse(file).getroot().iter("testcase"):  # noqa: S314 our own test runner wrote it
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            found[f"{case.get('classname')}.{case.get('name')}"] = outcome
    return found


def written(readme: str, status: str) -> str:
    """The README with `status` between its marks."""
    begin, end = map(re.escape, MARKS)
    return re.sub(f"{begin}.*?{end}", lambda _: f"{MARKS[0]}\n{status}\n{MARKS[1]}", readme, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(written(README.read_text(), table(outcomes(sorted(RESULTS.glob("*.xml"))))))
