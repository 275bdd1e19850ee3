"""The state of an installation as plain values, so that an interrupted one can be compared with one that nothing happened to.

What is left out, and why:

- `recorded_at` and `served_at`: the wall's time; law 7 allows times to differ. `at`, by the replay clock, is compared.
- hash, previous hash and signature of an entry: the chain covers `recorded_at`. That the chain, its signatures and its anchor hold
  is compared instead; so are signed statements by what they say.
- ids of Dagster's and MLflow's runs, and the record of a training, which names them: a rerun is another run.
- what a stopwatch or the memory's gauge said (`MEASURED`, and values of gates that read it), and so the ids of the entries whose
  inputs hold it: evaluations and rehearsals.
- Delta's log and file names, hidden temporary files: the order of commits, and what nobody reads. The rows are read and digested.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import lmdb
import msgspec
import psutil

from formats.home import Home
from formats.release import PAYLOAD_TYPE
from formats.signing import open_envelope
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.keys import trusted_keys
from platform_assets.promotion.live import pointers
from resources.experiment_tracking import DAGSTER_RUN, ExperimentTracking
from resources.installation import Installation, installation_at
from resources.lake import Lake, TableRef
from resources.ledger import Entry
from resources.model_registry import BUNDLE

RUN_IDS = frozenset({"dagster_run", "mlflow_run", "invocationId", "byproducts"})
MEASURED = frozenset({"latency_p99_ms", "memory_bytes", "p50_ms", "p99_ms", "empty_ms"})
# Gates whose value is one of those.
_BY_MEASURE = frozenset({"latency_budget", "memory_budget", "rehearsed"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHAIN = frozenset({"recorded_at", "previous", "hash", "signature", "keyid"})
_DIFFERENT_INPUTS = {"evaluation": "results", "rehearsal": "actor"}


def state_of(home: Home) -> dict[str, Any]:
    """Everything that is stored, by part."""
    installation = installation_at(home)
    return {
        "lake": lake_of(installation.lake),
        "online": online_of(home),
        "bundles": bundles_of(installation),
        "ledger": ledger_of(installation),
        "pointers": pointers_of(installation),
        "documents": documents_of(home),
        "spool": {_below(home, path): path.read_bytes() for path in home.root.glob("endpoints/**/spool/*.log")},
        "registry": registry_of(home),
    }


def lake_of(lake: Lake) -> dict[str, Any]:
    """Each partition's digest, taken anew from its rows, with what was noted about it."""
    return {
        f"{table}[{partition}]": (digest, _content(lake, TableRef(table, partition, digest)))
        for table in lake.tables()
        for partition, digest in sorted(lake.digests(table).items())
    }


def _content(lake: Lake, ref: TableRef) -> Any:
    key = lake.row_key(ref)
    assert key is not None, f"nobody said what tells the rows of {ref.table} apart"
    return lake.read(ref, key).height, lake.noted(ref)


def online_of(home: Home) -> dict[bytes, bytes]:
    """Every row of the online store."""
    if not (home.online / "data.mdb").exists():
        return {}
    with lmdb.open(str(home.online), readonly=True) as store, store.begin() as reader:
        return dict(reader.cursor())


def bundles_of(installation: Installation) -> dict[str, Any]:
    """Each bundle on disk, verified, with what was said about it, and the names that mean one."""
    root = installation.home.bundles
    folders = sorted(path for path in root.glob("[!.]*") if path.is_dir() and path.name != "names")
    named = {
        _below(installation.home, path): path.read_text() for path in (root / "names").rglob("[!.]*") if path.is_file()
    }
    return {"names": named, **{folder.name: dict(_bundle(installation, folder)) for folder in folders}}


def _bundle(installation: Installation, folder: Path) -> Iterator[tuple[str, Any]]:
    whole = installation.bundles.open(f"sha256:{folder.name}")
    for path in sorted(file for file in whole.rglob("[!.]*") if file.is_file()):
        said = path.parent.name == "attestations"
        yield path.relative_to(whole).as_posix(), _statement(path) if said else path.stat().st_size


def _statement(path: Path) -> Any:
    document = json.loads(path.read_bytes())
    signed = document.get("dsseEnvelope")
    return plain(document if signed is None else json.loads(base64.b64decode(signed["payload"])))


def ledger_of(installation: Installation) -> dict[str, Any]:
    """Every entry, and whether chain, signatures and anchor hold."""
    verified = LocalAuthority(installation.home).verify()
    return {
        "whole": (verified.ok, verified.findings),
        "entries": [told(entry) for entry in installation.ledger.entries()],
    }


def told(entry: Entry) -> dict[str, Any]:
    """The entry without what may differ."""
    facts = {name: value for name, value in msgspec.to_builtins(entry).items() if name not in _CHAIN}
    if entry.kind in _DIFFERENT_INPUTS:
        facts["inputs"].pop(_DIFFERENT_INPUTS[entry.kind])
        facts.pop("id")
    facts["actor"] = entry.actor.partition(":")[0]
    return {name: plain(value) for name, value in facts.items()}


def plain(value: Any) -> Any:
    """`value` without run ids and measurements."""
    if isinstance(value, Mapping) and value.get("gate") in _BY_MEASURE and "status" in value:
        return {name: value[name] for name in ("name", "gate", "status", "threshold", "severity")}
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items() if name not in RUN_IDS | MEASURED}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def by_name(state: Any, home: Home) -> Any:
    """`state` with each ledger entry's id written as its kind, number and subject: ids follow from what was measured."""
    entries = installation_at(home).ledger.entries()
    counted: dict[tuple[str, str], int] = {}
    names = {}
    for entry in entries:
        number = counted[entry.kind, entry.subject] = counted.get((entry.kind, entry.subject), 0) + 1
        names[entry.id] = f"{entry.kind} {number} of {entry.subject}"
    return _renamed(state, names)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {_renamed(name, names): _renamed(inner, names) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(inner, names) for inner in value]
    return _DIGEST.sub(lambda found: names.get(found[0], found[0]), value) if isinstance(value, str) else value


def pointers_of(installation: Installation) -> dict[str, Any]:
    """What the ledger says of every endpoint's releases, and what is barred."""
    state = pointers(installation)
    endpoints = sorted({entry.subject for entry in installation.ledger.entries("release")})
    releases = {name: [(r.release, r.bundle, r.sequence, r.state) for r in state.releases(name)] for name in endpoints}
    champions = {name: None if (live := state.champion(name)) is None else live.release for name in endpoints}
    return {"releases": releases, "champions": champions, "barred": sorted(state.barred), "ignored": len(state.ignored)}


def documents_of(home: Home) -> dict[str, Any]:
    """Every signed release document, opened with the authority's key: the kept ones, and those that the endpoints follow."""
    paths = sorted([*home.root.glob("releases/**/[!.]*.json"), *home.root.glob("endpoints/**/release.json")])
    trusted = trusted_keys(home)
    return {_below(home, path): json.loads(open_envelope(path.read_bytes(), PAYLOAD_TYPE, trusted)) for path in paths}


def registry_of(home: Home) -> dict[str, Any]:
    """MLflow's versions with the bundle of each, and where its aliases point."""
    client = ExperimentTracking(folder=str(home.root)).client
    versions = [(v.name, str(v.version), v.tags.get(BUNDLE)) for v in client.search_model_versions()]
    aliases = {
        model.name: dict(client.get_registered_model(model.name).aliases) for model in client.search_registered_models()
    }
    return {"versions": sorted(versions), "aliases": aliases}


def experiments_of(home: Home, instance: dg.DagsterInstance) -> dict[str, Any]:
    """What MLflow was told, whichever run told it: a rerun finds in the cache what the killed run had trained.

    No run is RUNNING, no Dagster run has two, and that of a Dagster run that succeeded is FINISHED.
    """
    client = ExperimentTracking(folder=str(home.root)).client
    names = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(names, max_results=1000) if names else []
    owners = [run.data.tags[DAGSTER_RUN] for run in runs]
    assert len(owners) == len(set(owners)), "a Dagster run has one MLflow run"
    kept = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))}
    succeeded = [run for run in runs if run.data.tags[DAGSTER_RUN] in kept]
    measured = {(name, value) for run in runs for name, value in run.data.metrics.items() if name not in MEASURED}
    return {
        "running": [run.info.run_id for run in runs if run.info.status == "RUNNING"],
        # Whether there is one depends on when a run was killed: with everything done, or before.
        "succeeded, and is not finished": [run.info.run_id for run in succeeded if run.info.status != "FINISHED"],
        "parameters": {named for run in runs for named in run.data.params.items()},
        "metrics": measured,
    }


def catalog_of(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What Dagster thinks is materialized, by asset, and no run that is still open."""
    open_runs = [run for run in instance.get_runs() if not run.is_finished]
    return {
        "open runs": open_runs,
        **{key.to_user_string(): _known(instance, key) for key in instance.all_asset_keys()},
    }


def _known(instance: dg.DagsterInstance, key: dg.AssetKey) -> Any:
    event = instance.get_latest_materialization_event(key)
    made = None if event is None else event.asset_materialization
    # An evaluation's and a rehearsal's version is the digest of what was measured.
    measured = key.path[-1] in ("evaluation", "rehearsal")
    version = None if made is None or measured else (made.tags or {}).get("dagster/data_version")
    return version, sorted(instance.get_materialized_partitions(key))


def processes_of(home: Home) -> list[str]:
    """What runs on this state: modules and their endpoints, sorted. One of a kind twice is there twice."""
    return sorted(_role(process) for process in psutil.process_iter() if _belongs(process, home))


def _belongs(process: psutil.Process, home: Home) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return any(str(home.root) in word for word in words) and "-m" in words


def _role(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
        endpoint = words[words.index("--endpoint") + 1] if "--endpoint" in words else ""
        return f"{words[words.index('-m') + 1]} {endpoint}".strip()
    except (psutil.Error, ValueError):
        return "ended meanwhile"


def differing(found: Any, expected: Any, where: str = "") -> Iterator[str]:
    """The places at which two states differ, and what is there."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for name in sorted({*found, *expected}, key=str):
            yield from differing(found.get(name, "absent"), expected.get(name, "absent"), f"{where}.{name}")
    elif isinstance(found, list | tuple) and isinstance(expected, list | tuple) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differing(one, other, f"{where}[{number}]")
    elif found != expected:
        yield f"{where}: {str(found)[:300]} instead of {str(expected)[:300]}"


def _below(home: Home, path: Path) -> str:
    return path.relative_to(home.root).as_posix()
