"""docs/feast.md: how often Feast's answers differ from ours on the same rows, and why."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.feast_differences import REASONS, UNEXPLAINED
from benchmarks.feast_sample import LIVE, QUESTIONS, VIEWS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "feast.md"

_HEAD = """# The join beside Feast's

Written by `benchmarks/feast.py`; do not edit. Versions: {versions}.

The same rows and questions are joined by `point_in_time_join` and by Feast's `get_historical_features` with each of its local
engines: as it is (by event time), and with `filter_by_created_timestamp` (by both times). There are {questions:,} questions of
{views} views with {days} days to live, drawn so that equal times, corrections, late rows and ages of exactly the time to live are
common (`benchmarks/feast_sample.py`). Each answer is the number of the row that was joined, so the reason of a difference is looked
up and not guessed; one without a reason ends the run.
"""

_COLUMNS = {"all": "by event time", "known": "by both times"}


def write_feast_page(found: Mapping[tuple[str, str], Mapping[str, int]], versions: Mapping[str, str]) -> None:
    """Write the page from the counts of each engine and cutoff. Raises AssertionError if a difference has no reason."""
    assert not any(counts.get(UNEXPLAINED) for counts in found.values()), found
    titles = [f"{engine}, {_COLUMNS[cutoff]}" for engine, cutoff in found]
    table = [
        "| values, questions times views | " + " | ".join(titles) + " |",
        "|---|" + "---|" * len(titles),
        *(_line(reason, [counts.get(reason, 0) for counts in found.values()]) for reason in REASONS),
        _line("in all", [sum(counts.values()) for counts in found.values()]),
    ]
    reasons = [f"- *{reason}*: {text}" for reason, text in REASONS.items()]
    told = ", ".join(f"{package} {version}" for package, version in versions.items())
    head = _HEAD.format(versions=told, questions=QUESTIONS, views=VIEWS, days=LIVE.days)
    PAGE.write_text("\n".join([head, *table, "", *reasons, ""]))


def _line(name: str, numbers: list[int]) -> str:
    return f"| {name} | " + " | ".join(f"{number:,}" for number in numbers) + " |"
