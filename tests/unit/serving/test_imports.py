import subprocess
import sys

import pytest

from tests.support.processes import ROOT

HEAVY = {"dagster", "mlflow", "torch", "pandas", "polars", "sklearn", "httpx"}


@pytest.mark.parametrize("module", ["serving.__main__", "serving.log_writer", "resources.supervisor"])
def test_the_processes_of_the_data_plane_stay_small(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & HEAVY
    if module != "serving.__main__":
        assert not loaded & {"onnxruntime", "numpy", "uvicorn"}
