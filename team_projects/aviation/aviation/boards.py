"""What the departures board makes of a probability, and what its mistakes cost: the team's own figure of a model."""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aviation import departures

# In units of one false alarm. A missed delay strands people; a false alarm makes them ask.
MISSED: Final = 3.0
FALSE_ALARM: Final = 1.0


def board_cost(flights: pl.DataFrame, probability: NDArray[np.float64]) -> float:
    """Mean cost a flight when the board shows "expect a delay" wherever that is cheaper, given the probability."""
    late = flights[departures.LABEL].cast(pl.Boolean).to_numpy()
    shown = probability * MISSED > (1 - probability) * FALSE_ALARM
    return float(np.mean(MISSED * (late & ~shown) + FALSE_ALARM * (~late & shown)))
