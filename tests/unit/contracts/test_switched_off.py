"""The variable that switches pandera off, as a person would set it: before the process starts."""

import os
import subprocess
import sys

from tests.support.processes import ROOT

PROGRAM = """
import pandera.polars as pa
import polars as pl
from platform_assets.contracts.spec import Contract
from platform_assets.contracts.validation import validate

class Table(pa.DataFrameModel):
    key: int

try:
    validate("t", pl.DataFrame({"key": ["no number"]}), Contract(Table, ("key",)))
except Exception as error:
    print(error.code)
else:
    print("passed")
"""


def test_a_process_with_validation_switched_off_judges_nothing() -> None:
    environment = os.environ | {"PANDERA_VALIDATION_ENABLED": "False"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "contract-disabled"
