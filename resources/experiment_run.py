"""What a step may write into its MLflow run."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

Parameter = str | int | float | bool | None

DAGSTER_RUN = "dagster/run_id"
DAGSTER_URL = "dagster/url"
DAGSTER_STEP = "dagster/step"
PARENT = "mlflow.parentRunId"

# MLflow's limit for one batch of metrics.
_BATCH = 1000
# And of parameters.
_FEW = 100


class ExperimentRun:
    """An open MLflow run. `id` leads to it."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.id = run_id
        self._client = client

    @contextmanager
    def child(
        self, name: str, parameters: Mapping[str, Parameter], tags: Mapping[str, str]
    ) -> Iterator["ExperimentRun"]:
        """A run within this one, of the same Dagster run, which ends as the block does: FINISHED, FAILED or KILLED."""
        run = self._client.get_run(self.id)
        inherited = {
            tag: run.data.tags[tag] for tag in (DAGSTER_RUN, DAGSTER_URL, DAGSTER_STEP) if tag in run.data.tags
        }
        created = self._client.create_run(
            run.info.experiment_id, tags={**tags, **inherited, PARENT: self.id}, run_name=name
        )
        child, status = ExperimentRun(self._client, str(created.info.run_id)), "KILLED"
        try:
            child.parameters(parameters)
            yield child
            status = "FINISHED"
        except Exception:  # all that the block can fail with, raised again; an interrupt is no Exception
            status = "FAILED"
            raise
        finally:
            self._client.set_terminated(child.id, status)

    def parameters(self, values: Mapping[str, Parameter]) -> None:
        """Record what the run was asked for; what is None is left out."""
        from mlflow.entities import Param

        found = [Param(name, str(value)) for name, value in values.items() if value is not None]
        for start in range(0, len(found), _FEW):
            self._client.log_batch(self.id, params=found[start : start + _FEW])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record metrics at one step."""
        self.history([values], first=step)

    def history(self, rows: Sequence[Mapping[str, float]], first: int = 0) -> None:
        """Record the metrics of consecutive steps, for example epochs, in as few writes as MLflow allows."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        steps = enumerate(rows, start=first)
        points = [Metric(name, float(value), now, step) for step, row in steps for name, value in row.items()]
        for start in range(0, len(points), _BATCH):
            self._client.log_batch(self.id, metrics=points[start : start + _BATCH])

    def tag(self, name: str, value: str) -> None:
        """Set one tag."""
        self._client.set_tag(self.id, name, value)

    def artifact(self, path: str, data: bytes) -> None:
        """Store `data` as the artifact `path`, for example `card/model.md`."""
        import tempfile
        from pathlib import Path, PurePosixPath

        place = PurePosixPath(path)
        parent = None if place.parent == PurePosixPath() else str(place.parent)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / place.name
            file.write_bytes(data)
            self._client.log_artifact(self.id, str(file), parent)

    def figure(self, path: str, figure: "Figure") -> None:
        """Store a matplotlib figure as the artifact `path`, for example `plots/calibration.png`."""
        self._client.log_figure(self.id, figure, path)
