"""What is stored about a key, table by table, and what will be impossible once it is gone. Nothing is touched."""

from collections.abc import Iterator, Sequence

import msgspec

from platform_assets.erasure.order import Order, standing
from platform_assets.erasure.places import Kind, Located, Subject, located, logs, online_keys, recomputed
from platform_assets.erasure.segments import counted
from platform_assets.erasure.texts import SHORTEST, Looked, texts_with
from platform_assets.erasure.unreached import unreached
from platform_assets.promotion.candidate import Candidate, candidate_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.team import Team
from resources.erased_keys import Action, Traces
from resources.installation import Installation

_NAMED = 5


class TableFound(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of now in how many partitions, and files that only earlier versions need, with the versions that end with them."""

    table: str
    kind: Kind
    rows: int
    partitions: tuple[str, ...]
    past_files: int
    versions: int


class BundleFound(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was made from, or judged on, rows about the key. It stays; `releases` say where it is or was in use."""

    bundle: str
    model: str
    why: str
    releases: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a key, which is named by its `pseudonym` alone: None as long as nobody's key was erased here.

    `order` is the ledger's entry, if it was ordered already.

    `online` are rows of the online store, `waiting` answers on their way to the lake, `texts` previews and lines of logs by path.
    """

    entity: str
    pseudonym: str | None
    action: Action
    order: str | None
    tables: tuple[TableFound, ...]
    online: int
    waiting: int
    texts: dict[str, int]
    bundles: tuple[BundleFound, ...]
    recompute: tuple[str, ...]
    impossible: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing is stored about the key."""
        return not (self.tables or self.online or self.waiting or self.texts)


def planned(
    installation: Installation,
    evidence: Evidence,
    teams: Sequence[Team],
    subject: Subject,
    action: Action | None = None,
) -> Plan:
    """What is stored about `subject` that `action` would change; without one, what the order changes that stands.

    Raises LedgerError on a damaged ledger, DataError if a store cannot be read.
    """
    evidence.require_whole("who was erased")
    entity, key = subject.entity, subject.key
    pseudonym = next(iter(installation.lake.pseudonyms(entity.name, [key])), None)
    order = None if pseudonym is None else standing(evidence).get((entity.name, pseudonym))
    asked, action = action, _due(order, action)
    places = [at for team in teams for at in located(team, entity)]
    traces = {at: found for at in places if (found := _traces(installation, at, key, action))}
    tables = tuple(_found(installation, at, found) for at, found in traces.items())
    bundles, looked = tuple(_bundles(evidence, traces)), texts_with(installation.home, key)
    return Plan(
        entity=entity.name,
        pseudonym=pseudonym,
        action=action,
        order=None if order is None else order.entry,
        tables=tables,
        online=sum(row is not None for row in installation.online_store.get(_online(teams, subject))),
        waiting=sum(
            counted(installation.home.endpoint(endpoint) / "spool", place, key)
            for team in teams
            for endpoint, place in logs(team, entity)
        ),
        texts=looked.found,
        bundles=bundles,
        recompute=tuple(n for team in teams for n in recomputed(team, frozenset(found.table for found in tables))),
        impossible=tuple(_impossible(tables, bundles)),
        remarks=(
            *_remarks(key, asked, action),
            *_unread(looked),
            *unreached(installation, teams, entity),
        ),
    )


def _online(teams: Sequence[Team], subject: Subject) -> list[bytes]:
    return [key for team in teams for key in online_keys(team, subject)]


def _due(order: Order | None, asked: Action | None) -> Action:
    """A mask makes no less of an order to erase."""
    if order is not None and (asked is None or order.action == "erase"):
        return order.action
    return asked or "erase"


def _traces(installation: Installation, at: Located, key: Sequence[str], action: Action) -> Traces:
    return installation.lake.traces(at.table, at.place, key, masked=action == "erase")


def _found(installation: Installation, at: Located, found: Traces) -> TableFound:
    held = bool(installation.lake.digests(at.table))
    return TableFound(
        table=at.table,
        kind=at.kind,
        rows=sum(found.rows.values()),
        partitions=found.partitions,
        past_files=sum(found.past.values()),
        versions=len(installation.lake.versions(at.table)) - (0 if found.rows else 1) if held else 0,
    )


def _bundles(evidence: Evidence, traces: dict[Located, Traces]) -> Iterator[BundleFound]:
    changing = {(at.table, partition) for at, found in traces.items() for partition in found.partitions}
    seen: set[tuple[str, str]] = set()
    for row in evidence.rows:
        if row.kind != "candidate" or evidence.by_id[row.id] is not row:
            continue
        candidate = candidate_of(row)
        why = [what for what, ref in _sets(candidate) if (ref[0], ref[1]) in changing]
        if why and (candidate.bundle, candidate.model) not in seen:
            seen.add((candidate.bundle, candidate.model))
            told = [
                f"release {release.sequence} of {release.endpoint} is {release.state}"
                for release in evidence.pointers.all()
                if release.bundle == candidate.bundle and release.endpoint.startswith(f"{candidate.model}/")
            ]
            yield BundleFound(
                bundle=candidate.bundle, model=candidate.model, why=" and ".join(why), releases=tuple(told)
            )


def _sets(candidate: Candidate) -> list[tuple[str, tuple[str, str, str]]]:
    return [("trained on its rows", candidate.training_set), ("judged on its rows", candidate.evaluation_set)]


def _impossible(tables: Sequence[TableFound], bundles: Sequence[BundleFound]) -> Iterator[str]:
    for found in bundles:
        told = f"; {', '.join(found.releases)}" if found.releases else ""
        if "trained" in found.why:
            yield f"to build {found.bundle[:19]} of {found.model} again from its training set{told}"
        if "judged" in found.why:
            yield f"to measure {found.bundle[:19]} of {found.model} again on its evaluation set{told}"
    for table in tables:
        if table.kind == "log" and table.rows:
            yield f"to explain or replay {table.rows} answers of {table.table}"
        if table.versions:
            yield f"to read {table.versions} versions of {table.table} as they were"


def _unread(looked: Looked) -> Iterator[str]:
    for why, paths in looked.skipped.items():
        more = f" and {len(paths) - _NAMED} others" if len(paths) > _NAMED else ""
        yield f"{len(paths)} files {why}, so they were not looked through: {', '.join(paths[:_NAMED])}{more}"


def _remarks(key: Sequence[str], asked: Action | None, due: Action) -> Iterator[str]:
    if asked not in {None, due}:
        yield "an order to erase stands, of which a mask makes no less: what comes of it is erased"
    if any(len(value) < SHORTEST for value in key):
        yield f"values of fewer than {SHORTEST} characters are not looked for in logs and previews"
