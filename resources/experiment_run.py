"""What a step may write into its MLflow run."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

Parameter = str | int | float | bool | None

# MLflow's limit for one batch.
_BATCH = 1000


class ExperimentRun:
    """An open MLflow run. `id` leads to it."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.id = run_id
        self._client = client

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
