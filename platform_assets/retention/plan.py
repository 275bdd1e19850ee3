"""Everything that could go, piece by piece: what it is, how big, and why it stays, or that it goes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from formats.canonical import digest_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.retention.files import age_of, artifacts_of, closed_logs, run_logs, size_of
from platform_assets.retention.reachable import Reachable, reachable
from platform_assets.retention.spec import RetentionPolicy
from resources.installation import Installation
from resources.ledger import Head


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is stored. `name` is a digest, a table, or a path in the home; `stays` says why, None that it goes."""

    kind: str
    name: str
    size: int
    stays: str | None
    note: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would go and what stays, told at `now` (by the wall) on the ledger as it ends with row `row`."""

    policy: RetentionPolicy
    now: datetime
    row: int
    pieces: tuple[Piece, ...]

    @property
    def going(self) -> tuple[Piece, ...]:
        """The pieces that nothing needs."""
        return tuple(piece for piece in self.pieces if piece.stays is None)

    @property
    def size(self) -> int:
        """The bytes of those."""
        return sum(piece.size for piece in self.going)

    @property
    def policy_digest(self) -> str:
        """The policy's digest."""
        return digest_of(msgspec.to_builtins(self.policy))


def planned(installation: Installation, evidence: Evidence, policy: RetentionPolicy, now: datetime) -> Plan:
    """What the policy lets go at `now`, by the wall. Nothing is touched. Raises as `reachable`."""
    needed = reachable(evidence, policy, now)
    pieces = (
        *_bundles(installation, needed, policy, now),
        *_tables(installation, needed, policy, now),
        *_files(installation, needed, policy, now),
    )
    head: Head = evidence.ledger.head()
    return Plan(policy=policy, now=now, row=head.sequence, pieces=pieces)


def _bundles(installation: Installation, needed: Reachable, policy: RetentionPolicy, now: datetime) -> Iterator[Piece]:
    proposed = {each.candidate.bundle for each in needed.known}
    for stored in installation.bundles.stored():
        stays = needed.bundles.get(stored.digest)
        if stays is None and stored.digest not in proposed and now - stored.since <= policy.candidates:
            stays = f"built on {stored.since:%Y-%m-%d}, and nobody judged it yet"
        yield Piece(kind="bundle", name=stored.digest, size=stored.size, stays=stays)


def _tables(installation: Installation, needed: Reachable, policy: RetentionPolicy, now: datetime) -> Iterator[Piece]:
    for table in installation.lake.tables():
        found = installation.lake.superseded(table, now - policy.versions)
        if found.files:
            note = f"{found.files} files of versions before {found.oldest}"
            stays = _history_stays(installation, needed, policy, now, table)
            yield Piece(kind="table versions", name=table, size=found.size, stays=stays, note=note)


def _history_stays(
    installation: Installation, needed: Reachable, policy: RetentionPolicy, now: datetime, table: str
) -> str | None:
    """Why the past of `table` stays: a hold, or a set that a bundle was made from and that its partition holds no more."""
    hold = next((h for h in policy.holds if h.covers(table) and not h.is_over(now)), None)
    if hold is not None:
        return hold.told
    held = installation.lake.digests(table)
    for candidate in needed.candidates:
        for what, ref in (("training", candidate.training_set), ("evaluation", candidate.evaluation_set)):
            if ref.table == table and held.get(ref.partition) != ref.digest:
                return f"the {what} set of {candidate.bundle[:19]} is an earlier content of {ref.partition}"
    return None


def _files(installation: Installation, needed: Reachable, policy: RetentionPolicy, now: datetime) -> Iterator[Piece]:
    kept = {c.mlflow_run: c.bundle for c in needed.candidates} | {c.dagster_run: c.bundle for c in needed.candidates}
    home = installation.home
    for kind, paths in (
        ("artifacts", artifacts_of(home)),
        ("run logs", run_logs(home)),
        ("log", closed_logs(home)),
    ):
        for path in paths:
            name = path.relative_to(home.root)
            run = next((part for part in name.parts if part in kept), None)
            stays = f"of the run that made {str(kept[run])[:19]}" if run else _young(path, now, policy.logs)
            yield Piece(kind=kind, name=name.as_posix(), size=size_of(path), stays=stays)


def _young(path: Path, now: datetime, kept: timedelta) -> str | None:
    at = age_of(path)
    return f"written on {at:%Y-%m-%d}, and kept {kept.days} days" if now - at <= kept else None
