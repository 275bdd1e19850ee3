"""MLflow as the record of experiments: one MLflow run for each Dagster run and experiment, which always ends.

dagster-mlflow opens the run and marks it with the Dagster run's id; its own end hangs on a hook that asset runs never call, so
this resource owns the end: FINISHED, FAILED or KILLED, whatever the step does. A process that is killed outright leaves a
RUNNING run behind, which `close_orphans` ends by what Dagster says of the run.

    with tracking.run(context, "aviation.departure_delay", {"depth": 6}, {}) as experiment:
        experiment.metrics({"loss": 0.4}, step=1)
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

from formats.home import Home, current_home
from resources.experiment_run import DAGSTER_RUN, DAGSTER_STEP, DAGSTER_URL, ExperimentRun, Parameter

if TYPE_CHECKING:
    from mlflow import MlflowClient

MLFLOW_RUN = "mlflow/run_id"
# The tag that dagster-mlflow finds its run by.
_DAGSTER_MLFLOW = "dagster_run_id"


class _Opening(NamedTuple):
    """What dagster-mlflow reads of the context that legacy resources are built from."""

    log: dg.DagsterLogManager
    dagster_run: dg.DagsterRun
    run_id: str
    resource_config: dict[str, object]


class ExperimentTracking(dg.ConfigurableResource[None]):
    """MLflow in the state folder: SQLite for runs, files for artifacts.

    `folder` is the installation's home; the environment names it when it is empty. `ui` is the address of Dagster's UI; empty,
    it is that of the last `roadbed up`.
    """

    folder: str = ""
    ui: str = ""

    @cached_property
    def home(self) -> Home:
        """Where the state is."""
        return Home(Path(self.folder)) if self.folder else current_home()

    @property
    def uri(self) -> str:
        """MLflow's tracking address."""
        return f"sqlite:///{self.home.mlflow / 'mlflow.db'}"

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client on this store; the first one makes its tables."""
        mlflow = _mlflow()
        # Two processes that make the tables at once collide.
        with self.locked("tables"):  # its own lock: callers that hold the other one ask for the client inside
            client: MlflowClient = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            client.search_experiments(max_results=1)
        return client

    @contextmanager
    def locked(self, what: str = "steps") -> Iterator[None]:
        """Keep other processes of this machine out of what MLflow does in several steps. Not reentrant."""
        self.home.mlflow.mkdir(parents=True, exist_ok=True)
        with (self.home.mlflow / f"{what}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def run(
        self,
        context: dg.AssetExecutionContext,
        name: str,
        parameters: Mapping[str, Parameter],
        tags: Mapping[str, str],
    ) -> Iterator[ExperimentRun]:
        """The MLflow run of this Dagster run in the experiment `name`; a step that is retried goes on with the same one."""
        run_id = self._prepare(context, name, tags)
        # What stays if neither happens below: an interrupt of Dagster's or the keyboard's, or the end of the interpreter.
        status = "KILLED"
        try:
            self._open(context, name, run_id, parameters)
            yield ExperimentRun(self.client, run_id)
            status = "FINISHED"
        except Exception:  # all that a step can fail with, raised again; an interrupt is no Exception
            status = "FAILED"
            raise
        finally:
            self._end(run_id, status)

    def close_orphans(self, instance: dg.DagsterInstance) -> list[str]:
        """End the MLflow runs that are RUNNING although their Dagster run is finished or gone; what was done, in words."""
        closed = []
        for run_id in self._running():
            tags = self.client.get_run(run_id).data.tags
            dagster_run = tags.get(_DAGSTER_MLFLOW) or tags.get(DAGSTER_RUN)
            status = _end_of(instance, dagster_run) if dagster_run else None
            if status is not None:
                if _DAGSTER_MLFLOW in tags:  # a run within another has not: the other is the Dagster run's
                    _tie(instance, dagster_run, run_id)
                self.client.set_terminated(run_id, status)
                closed.append(f"MLflow run {run_id} of Dagster run {dagster_run} was left RUNNING; it is {status} now")
        return closed

    def _prepare(self, context: dg.AssetExecutionContext, name: str, tags: Mapping[str, str]) -> str:
        """The id of the run, made with all its tags in one step: killed at any time it leads to its Dagster run."""
        experiment = self._experiment(name)
        mine = f"tags.{_DAGSTER_MLFLOW} = '{context.run_id}'"
        found = self.client.search_runs([experiment], mine, max_results=1)
        run_id = str(found[0].info.run_id) if found else self._create(context, experiment, tags)
        context.instance.add_run_tags(context.run_id, {MLFLOW_RUN: run_id})
        return run_id

    def _create(self, context: dg.AssetExecutionContext, experiment: str, tags: Mapping[str, str]) -> str:
        own = {
            _DAGSTER_MLFLOW: context.run_id,
            DAGSTER_RUN: context.run_id,
            DAGSTER_URL: f"{self._ui()}/runs/{context.run_id}",
            DAGSTER_STEP: context.op_execution_context.op.name,
            "mlflow.source.name": context.job_name,
        }
        created = self.client.create_run(experiment, tags={**tags, **own}, run_name=context.run_id[:8])
        return str(created.info.run_id)

    def _experiment(self, name: str) -> str:
        with self.locked():
            found = self.client.get_experiment_by_name(name)
            if found is not None:
                return str(found.experiment_id)
            return str(self.client.create_experiment(name, artifact_location=(self.home.mlflow / "artifacts").as_uri()))

    def _open(
        self, context: dg.AssetExecutionContext, name: str, run_id: str, parameters: Mapping[str, Parameter]
    ) -> None:
        from dagster_mlflow.resources import MlFlow

        mlflow = _mlflow()
        if (left := mlflow.active_run()) is not None:
            # dagster-mlflow would write into it; user code of an earlier step in this process forgot to end it.
            context.log.warning("MLflow run %s was left open in this process and is ended", left.info.run_id)
            mlflow.end_run("KILLED")
        config: dict[str, object] = {"experiment_name": name, "mlflow_tracking_uri": self.uri, "mlflow_run_id": run_id}
        opened = MlFlow(_Opening(context.log, context.run, context.run_id, config))  # type: ignore[no-untyped-call] # its __init__ has no annotations
        opened.log_params({key: value for key, value in parameters.items() if value is not None})

    def _end(self, run_id: str, status: str) -> None:
        mlflow = _mlflow()
        active = mlflow.active_run()
        if active is not None and active.info.run_id == run_id:
            mlflow.end_run(status)
        else:
            self.client.set_terminated(run_id, status)

    def _running(self) -> list[str]:
        """Ids of runs that are RUNNING, read from the file: a sensor asks often, and importing mlflow takes seconds."""
        import sqlite3

        file = self.home.mlflow / "mlflow.db"
        if not file.is_file():
            return []
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
            rows = connection.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING'").fetchall() if known else []
        return [str(row[0]) for row in rows]

    def _ui(self) -> str:
        if self.ui:
            return self.ui.rstrip("/")
        port = self.home.run / "port"
        return f"http://127.0.0.1:{port.read_text().strip() if port.is_file() else '3000'}"


def _mlflow() -> ModuleType:
    """The module, with nothing sent home and no complaint about a missing git."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    return mlflow


def _tie(instance: dg.DagsterInstance, dagster_run: str | None, run_id: str) -> None:
    """Name the MLflow run on its Dagster run, whose process may have died between the making of the one and the naming."""
    if dagster_run is not None and instance.has_run(dagster_run):
        instance.add_run_tags(dagster_run, {MLFLOW_RUN: run_id})


def _end_of(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """The terminal status that fits the Dagster run; None while it goes on."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        return "KILLED"
    ends = {
        dg.DagsterRunStatus.SUCCESS: "FINISHED",
        dg.DagsterRunStatus.FAILURE: "FAILED",
        dg.DagsterRunStatus.CANCELED: "KILLED",
    }
    return ends.get(run.status)
