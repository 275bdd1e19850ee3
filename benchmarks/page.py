"""docs/performance.md from the last results, misses included."""

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"

_HEAD = """# Performance

Written by `make bench NAME=<name>` from `benchmarks/results/`; do not edit. Figures are CPU time unless the unit says otherwise,
medians of runs interleaved with a peer's on the same machine; compare ratios, not times. `missed` is a target that is not met.
"""


def write_page(results: Path) -> None:
    """Write the page from every results file."""
    parts = [_section(file.stem, json.loads(file.read_text())) for file in sorted(results.glob("*.json"))]
    PAGE.write_text("\n".join([_HEAD, *parts]))


def _section(name: str, document: dict[str, Any]) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in document["versions"].items())
    rows = [
        f"| {row['figure']} | {row['ours']:.3g} {row['unit']} | {_number(row['peer'])} | {_number(row['ratio'])} "
        f"| {_number(row['target'])} | {_met(row['met'])} |"
        for row in document["rows"]
    ]
    head = ["| figure | ours | peer | ratio | target | |", "|---|---|---|---|---|---|"]
    machine = f"{document['machine']['machine']}, Python {document['machine']['python']}; {versions}."
    return "\n".join([f"## {name}", "", machine, "", *head, *rows, ""])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _met(met: bool | None) -> str:
    return "" if met is None else "met" if met else "missed"
