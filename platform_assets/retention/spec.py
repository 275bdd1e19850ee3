"""How long things are kept: `retention.yaml` in the home. What is absent has its default; a longer time is always safe.

    releases: 3                # earlier bundles of each endpoint that a rollback may ask for
    predictions_days: 90       # how long the bundle behind an answer stays, so that the answer can be explained and replayed
    candidates_days: 30        # how long a candidate may be decided on after it was proposed
    versions_days: 30          # how long the earlier content of a table can be read
    logs_days: 30              # logs that are closed, searches, and artifacts of runs that made nothing that is kept
    holds:                     # what the law or a person wants kept, whatever else is said
      - {subject: aviation/departure_delay, reason: claim 4711, until: 2027-01-01}

A hold's subject is a team, a model, an endpoint, or a bundle's digest; without `until` it has no end.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from resources.settings_file import read_settings_file

Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that stays until a day is over, and why."""

    subject: Text
    reason: Text
    until: date | None = None

    @property
    def told(self) -> str:
        """The reason, for whoever reads why something stays."""
        return f"held{f' until {self.until.isoformat()}' if self.until else ''}: {self.reason}"

    def is_over(self, now: datetime) -> bool:
        """Whether its last day has passed."""
        return self.until is not None and now.date() > self.until

    def covers(self, name: str) -> bool:
        """Whether it is about a bundle, a model or a table called `name`: the same, above it, or an endpoint of that model."""
        return name == self.subject or name.startswith(f"{self.subject}/") or self.subject.startswith(f"{name}/")


class RetentionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. Times are of the wall: they are about disks and people, never about data."""

    releases: Annotated[int, msgspec.Meta(ge=1)] = 3
    predictions_days: Days = 90
    candidates_days: Days = 30
    versions_days: Days = 30
    logs_days: Days = 30
    holds: tuple[Hold, ...] = ()

    @property
    def predictions(self) -> timedelta:
        """How long an answer's bundle stays after it was replaced."""
        return timedelta(days=self.predictions_days)

    @property
    def candidates(self) -> timedelta:
        """How long a candidate stays that nobody released."""
        return timedelta(days=self.candidates_days)

    @property
    def versions(self) -> timedelta:
        """How long a table's earlier content stays."""
        return timedelta(days=self.versions_days)

    @property
    def logs(self) -> timedelta:
        """How long what is closed and told stays."""
        return timedelta(days=self.logs_days)


def read_retention_policy(path: Path) -> RetentionPolicy:
    """The policy in `path`, or the defaults. Raises DeclarationError if it cannot be understood: then nothing is removed."""
    hint = "it may have releases, predictions_days, candidates_days, versions_days, logs_days, holds; docs/operating.md shows them"
    return read_settings_file(path, RetentionPolicy, hint)
