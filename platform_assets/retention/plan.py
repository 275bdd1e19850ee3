"""Everything that could go, piece by piece: what it is, how big, and why it stays, or that it goes."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from formats.canonical import digest_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.retention.files import age_of, artifacts_of, closed_logs, run_logs, searches, size_of
from platform_assets.retention.reachable import Reachable, reachable
from platform_assets.retention.spec import RetentionPolicy
from resources.installation import Installation
from resources.lake import Lake
from resources.ledger import Head
from resources.table_ref import TableRef


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is stored. `name` is a digest, a table, or a path in the home; `stays` says why, None that it goes."""

    kind: str
    name: str
    size: int
    stays: str | None
    note: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would go and what stays, told at `now` (by the wall) on the ledger as it ends with row `row`.

    `kept` are the sets that bundles which stay were made from and judged on: their rows stay whatever their tables hold by now.
    """

    policy: RetentionPolicy
    now: datetime
    row: int
    pieces: tuple[Piece, ...]
    kept: tuple[TableRef, ...]

    @property
    def since(self) -> datetime:
        """What tables held before stays as long as it was replaced after this."""
        return self.now - self.policy.versions

    def kept_of(self, table: str) -> tuple[TableRef, ...]:
        """Those of one table."""
        return tuple(ref for ref in self.kept if ref.table == table)

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
        *_searches(installation, policy, now),
    )
    head: Head = evidence.ledger.head()
    kept = tuple(ref for _, ref, _ in _sets(needed))
    return Plan(policy=policy, now=now, row=head.sequence, pieces=pieces, kept=kept)


def _bundles(installation: Installation, needed: Reachable, policy: RetentionPolicy, now: datetime) -> Iterator[Piece]:
    proposed = {each.candidate.bundle for each in needed.known}
    for stored in installation.bundles.stored():
        stays = needed.bundles.get(stored.digest)
        if stays is None and stored.digest not in proposed and now - stored.since <= policy.candidates:
            stays = f"built on {stored.since:%Y-%m-%d}, and nobody judged it yet"
        yield Piece(kind="bundle", name=stored.digest, size=stored.size, stays=stays)


def _tables(installation: Installation, needed: Reachable, policy: RetentionPolicy, now: datetime) -> Iterator[Piece]:
    for table in installation.lake.tables():
        kept = {ref: f"the {what} set of {bundle[:19]}" for what, ref, bundle in _sets(needed) if ref.table == table}
        yield from _versions(installation.lake, table, now - policy.versions, kept, _held(policy, now, table))


def _versions(
    lake: Lake, table: str, since: datetime, kept: Mapping[TableRef, str], hold: str | None
) -> Iterator[Piece]:
    """The past of `table`: what goes or is held, and what stays because a bundle was made from it."""
    past = lake.superseded(table, since)
    if not past.files:
        return
    gone = lake.superseded(table, since, kept) if kept else past
    note = f"{{}} files of versions before {past.oldest}"
    if gone.files:
        yield Piece(kind="table versions", name=table, size=gone.size, stays=hold, note=note.format(gone.files))
    if past.files > gone.files:
        ref, what = next(
            (ref, what) for ref, what in kept.items() if lake.digests(table).get(ref.partition) != ref.digest
        )
        stays = f"{what} is an earlier content of {ref.partition}"
        rest = past.files - gone.files
        yield Piece(kind="table versions", name=table, size=past.size - gone.size, stays=stays, note=note.format(rest))


def _held(policy: RetentionPolicy, now: datetime, table: str) -> str | None:
    return next((hold.told for hold in policy.holds if hold.covers(table) and not hold.is_over(now)), None)


def _sets(needed: Reachable) -> Iterator[tuple[str, TableRef, str]]:
    """What it was for, its rows, and the bundle, of each set that a bundle which stays was made from or judged on."""
    for candidate in needed.candidates:
        yield "training", candidate.training_set, candidate.bundle
        yield "evaluation", candidate.evaluation_set, candidate.bundle


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


def _searches(installation: Installation, policy: RetentionPolicy, now: datetime) -> Iterator[Piece]:
    home = installation.home
    for model, path in searches(home):
        stays = _held(policy, now, model) or _young(path, now, policy.logs)
        name = path.relative_to(home.root).as_posix()
        yield Piece(kind="search", name=name, size=size_of(path), stays=stays)


def _young(path: Path, now: datetime, kept: timedelta) -> str | None:
    at = age_of(path)
    return f"written on {at:%Y-%m-%d}, and kept {kept.days} days" if now - at <= kept else None
