"""What the board's mistakes cost."""

import numpy as np
import polars as pl
import pytest
from aviation.boards import board_cost

FLIGHTS = pl.DataFrame({"late": [True, True, False, False]})


@pytest.mark.parametrize(
    ("probability", "cost"),
    [
        ([1.0, 1.0, 0.0, 0.0], 0.0),
        ([0.0, 0.0, 1.0, 1.0], (3 + 3 + 1 + 1) / 4),
        ([0.0, 0.0, 0.0, 0.0], 6 / 4),
        ([1.0, 1.0, 1.0, 1.0], 2 / 4),
        ([0.26, 0.24, 0.26, 0.24], (3 + 1) / 4),
    ],
)
def test_a_missed_delay_costs_three_false_alarms(probability: list[float], cost: float) -> None:
    assert board_cost(FLIGHTS, np.array(probability)) == pytest.approx(cost)
