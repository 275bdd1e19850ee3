"""The chain behind an asset, by its key: `<team>/<table>`, `<team>/<model>/<stop>`, `<team>/<model>/<environment>/<stop>`."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from formats.canonical import digest_of
from formats.errors import RoadbedError
from platform_assets.features.online_note import last_update
from platform_assets.monitoring.audit import audit
from platform_assets.monitoring.spool import all_segments, records_in
from platform_assets.promotion.candidate import candidate_of, evaluation_of, newest_candidate, newest_candidate_of
from platform_assets.promotion.evidence import Evidence
from platform_assets.promotion.explained_candidate import age_links, candidate_chain, trained_chain
from platform_assets.promotion.explained_link import Link, instant, short
from platform_assets.promotion.explained_release import (
    decision_chain,
    decision_links,
    gate_facts,
    newest_decisions,
    release_chain,
)
from platform_assets.promotion.explained_table import base_of, table_chain
from platform_assets.promotion.records import Release
from platform_assets.promotion.rehearsal import Rehearsal, newest_rehearsal
from resources.installation import Installation
from resources.lake import PARTITION

_KEY = re.compile(r"\w+(/\w+)+")
_SHOWN = 3


class _Asked(NamedTuple):
    """An asset that is asked about; `model` is `<team>/<model>`, `endpoint` that of its environment, empty where it has none."""

    installation: Installation
    evidence: Evidence
    key: str
    model: str = ""
    endpoint: str = ""


def asset_chain(installation: Installation, evidence: Evidence, key: str) -> Iterator[Link] | None:
    """The chain behind the asset `key`; None when the installation knows no such asset."""
    if not _KEY.fullmatch(key):
        return None
    if key == "roadbed/ledger":
        return iter(())  # every chain ends with it
    team, *names = key.split("/")
    model = f"{team}/{names[0]}"
    if len(names) == 3 and (tell := _IN_AN_ENVIRONMENT.get(names[2])) and _is_model(installation, evidence, model):
        return tell(_Asked(installation, evidence, key, model, f"{model}/{names[1]}/endpoint"))
    if len(names) == 2 and (tell := _OF_A_MODEL.get(names[1])) and _is_model(installation, evidence, model):
        return tell(_Asked(installation, evidence, key, model))
    if names == ["online_store"] and any(each.startswith(f"{team}/") for each in installation.lake.tables()):
        return _online_store(_Asked(installation, evidence, key))
    return table_chain(installation.lake, key) if installation.lake.digests(base_of(key)) else None


def _is_model(installation: Installation, evidence: Evidence, model: str) -> bool:
    if newest_candidate_of(evidence.ledger, model) is not None or installation.bundles.partitions(f"{model}/model"):
        return True
    return bool(installation.lake.digests(f"{model}/training_set"))


def _endpoint(asked: _Asked) -> Iterator[Link]:
    yield from _release(asked)
    release = _of_endpoint(asked)
    if release is None:
        return
    decision = asked.evidence.pointers.find_decision(release.approval.decision)
    entry = None if decision is None else asked.evidence.by_id.get(decision.candidate)
    if entry is not None:
        yield from age_links(asked.installation, candidate_of(entry))


def _release(asked: _Asked) -> Iterator[Link]:
    release = _of_endpoint(asked)
    if release is not None:
        yield from release_chain(asked.installation, asked.evidence, release)
        return
    yield Link(f"release of {asked.endpoint}", {}, None, "nothing was released there yet")
    decisions = _decisions(asked)
    if asked.endpoint in decisions:
        yield from decision_chain(asked.installation, asked.evidence, decisions[asked.endpoint])
    else:
        yield from _newest_candidate(asked)


def _rehearsal(asked: _Asked) -> Iterator[Link]:
    release = _of_endpoint(asked)
    found = newest_rehearsal(asked.evidence.ledger, release.bundle, asked.endpoint) if release else None
    if found is None:
        yield Link(f"rehearsal at {asked.endpoint}", {}, None, "what was released there was not rehearsed yet")
    else:
        yield _rehearsal_link(asked, *found)
    yield from _release(asked)


def _rehearsal_link(asked: _Asked, identity: str, found: Rehearsal) -> Link:
    entry = asked.evidence.by_id.get(identity)
    facts = {
        "endpoint": found.endpoint,
        "release": found.release,
        "requests": f"{found.requests} from {found.source}, {found.rate:g} a second",
        "errors": f"{found.errors} {found.first_error}".rstrip(),
        "latency": f"p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms; an empty answer {found.empty_ms:.1f} ms",
    }
    if entry is not None:
        facts |= {"rehearsed by": entry.actor, "when": instant(entry.at)}
    sound = entry is not None and entry.hash == entry.content_hash()
    told = "its row has the content that its hash names" if sound else "its row was changed after it was written"
    return Link(f"rehearsal {short(identity)}", facts, sound, told)


def _audit(asked: _Asked) -> Iterator[Link]:
    for name, finding in audit(asked.installation, asked.endpoint).findings.items():
        yield Link(f"audit: {name}", {}, finding.good, finding.message)
    yield from _release(asked)


def _evaluation(asked: _Asked) -> Iterator[Link]:
    ledger = asked.evidence.ledger
    read = ((row, evaluation_of(row)) for row in ledger.entries("evaluation"))
    known = [(row, found) for row, found in read if found and _model_of(asked, found.candidate) == asked.model]
    if not known:
        yield Link(f"evaluation of {asked.model}", {}, None, "nothing was evaluated yet")
        return
    newest, found = known[-1]
    facts = {"bundle": found.bundle, "judged by": newest.actor, "when": instant(newest.at)}
    facts |= {"champion": found.champion or "none", **gate_facts(found.results)}
    sound = newest.hash == newest.content_hash()
    told = "its row has the content that its hash names" if sound else "its row was changed after it was written"
    yield Link(f"evaluation {short(newest.id)}", facts, sound, told)
    for decision in _decisions(asked, found.bundle).values():
        yield from decision_links(asked.installation, asked.evidence, decision)
    entry = asked.evidence.by_id.get(found.candidate)
    if entry is not None:
        yield from candidate_chain(asked.installation, candidate_of(entry))


def _model(asked: _Asked) -> Iterator[Link]:
    bundles = asked.installation.bundles
    cutoffs = sorted(bundles.partitions(asked.key), reverse=True)
    if not cutoffs:
        yield Link(f"bundles of {asked.key}", {}, None, "nothing was trained yet")
        return
    shown = {cutoff: bundles.pointed(f"{asked.key}/{cutoff}") for cutoff in cutoffs[:_SHOWN]}
    yield Link(f"bundles of {asked.key}", {"cutoffs": str(len(cutoffs)), **shown})
    newest = shown[cutoffs[0]]
    entry = newest_candidate(asked.evidence.ledger, newest, asked.model)
    if entry is None:
        yield from trained_chain(asked.installation, newest)
    else:
        yield from candidate_chain(asked.installation, candidate_of(entry))


def _search(asked: _Asked) -> Iterator[Link]:
    """What was tried, and on what. Nothing that is trained follows from a search by itself, so nothing else hangs on it."""
    root = asked.installation.home.root
    studies = sorted((asked.installation.home.searches / asked.model).glob("*.journal"), reverse=True)
    if not studies:
        yield Link(f"searches of {asked.model}", {}, None, "nobody has searched for better settings yet")
    for study in studies[:_SHOWN]:
        facts = {"cutoff": study.stem.rpartition("-")[0], "study": study.relative_to(root).as_posix()}
        yield Link(f"search {study.stem}", facts, None, "its trials are runs of MLflow, within the search's own")
    yield from table_chain(asked.installation.lake, f"{asked.model}/training_set")


def _dataset(asked: _Asked) -> Iterator[Link]:
    return table_chain(asked.installation.lake, asked.key)


def _prediction_log(asked: _Asked) -> Iterator[Link]:
    for folder in sorted((asked.installation.home.root / "endpoints" / asked.model).glob("*")):
        segments = all_segments(folder)
        newest = {path.name: f"{len(records_in([path]))} answers" for path in reversed(segments[-_SHOWN:])}
        facts = {"segments not in the lake": str(len(segments)), **newest}
        yield Link(f"spool of {asked.model}/{folder.name}/endpoint", facts)
    yield from _answers(asked)


def _answers(asked: _Asked) -> Iterator[Link]:
    """A table of answers, and the release that gave the newest of them."""
    yield from table_chain(asked.installation.lake, asked.key)
    named = _newest_value(asked, asked.key, "release")
    yield from _released(asked, named, [r for r in asked.evidence.pointers.all() if r.release == named])


def _drift(asked: _Asked) -> Iterator[Link]:
    sources = (f"{asked.model}/{name}" for name in ("batch_predictions", "prediction_log"))
    yield from table_chain(asked.installation.lake, asked.key, *sources)
    named = _newest_value(asked, asked.key, "bundle")
    mine = (release for release in asked.evidence.pointers.all() if release.endpoint.startswith(f"{asked.model}/"))
    yield from _released(asked, named, [release for release in mine if release.bundle == named])


def _released(asked: _Asked, named: str | None, releases: list[Release]) -> Iterator[Link]:
    if releases:
        yield from release_chain(asked.installation, asked.evidence, releases[-1])
    elif named is not None:
        yield Link(f"release of {short(named)}", {}, False, f"{asked.key} names {named}, which was never released")


def _online_store(asked: _Asked) -> Iterator[Link]:
    team, store = asked.key.split("/")[0], asked.installation.online_store
    try:
        update = last_update(team, store)
    except RoadbedError as error:
        yield Link(f"online store of {team}", {"store": store.address}, None, error.message)
        return
    views = {f"{team}/{name}": digest for name, digest in sorted(update.views.items())}
    facts = {"store": store.address, "as of": instant(update.as_of)}
    facts |= {f"from {view}": digest for view, digest in views.items()}
    since = [view for view, digest in views.items() if digest_of(asked.installation.lake.digests(view)) != digest]
    told = f"{', '.join(since)} was written since" if since else "the views still have these digests"
    yield Link(f"online store of {team}", facts, None if since else True, told)
    yield from table_chain(asked.installation.lake, *views)


def _of_endpoint(asked: _Asked) -> Release | None:
    """What the endpoint should run, else the last that was released to it."""
    past = asked.evidence.pointers.releases(asked.endpoint)
    return asked.evidence.pointers.desired(asked.endpoint) or (past[-1] if past else None)


def _decisions(asked: _Asked, bundle: str | None = None) -> Mapping[str, str]:
    """The newest decision of each endpoint of the model, about `bundle` if that is given."""
    known = newest_decisions(asked.evidence, bundle)
    return {endpoint: decision for endpoint, decision in known.items() if endpoint.startswith(f"{asked.model}/")}


def _newest_candidate(asked: _Asked) -> Iterator[Link]:
    entry = newest_candidate_of(asked.evidence.ledger, asked.model)
    if entry is not None:
        yield from candidate_chain(asked.installation, candidate_of(entry))


def _model_of(asked: _Asked, candidate: str) -> str | None:
    entry = asked.evidence.by_id.get(candidate)
    return None if entry is None else entry.inputs.get("model")


def _newest_value(asked: _Asked, table: str, column: str) -> str | None:
    lake = asked.installation.lake
    if not lake.digests(table):
        return None
    rows = lake.scan(table, with_partition=True).select(PARTITION, column).sort(PARTITION).tail(1).collect()
    return str(rows[column][0]) if rows.height else None


_Tell = Callable[[_Asked], Iterator[Link]]

_OF_A_MODEL: dict[str, _Tell] = {
    "training_set": _dataset,
    "evaluation_set": _dataset,
    "search": _search,
    "model": _model,
    "evaluation": _evaluation,
    "batch_predictions": _answers,
    "prediction_log": _prediction_log,
    "drift": _drift,
}

_IN_AN_ENVIRONMENT: dict[str, _Tell] = {
    "release": _release,
    "endpoint": _endpoint,
    "rehearsal": _rehearsal,
    "audit": _audit,
}
