"""How far the answers of two bundles are apart, where some have none."""

import numpy as np

from platform_assets.reproduction.comparison import apart_by

NONE = np.nan


def test_rows_that_neither_answers_are_no_difference() -> None:
    found = apart_by(np.array([0.5, NONE, NONE, 0.25]), np.array([0.5, NONE, 0.5, NONE]))
    assert found.tolist() == [0.0, 0.0, np.inf, np.inf]


def test_of_several_probabilities_one_that_is_missing_on_one_side_counts() -> None:
    one = np.array([[0.5, 0.5], [NONE, 0.5], [NONE, 0.5]])
    other = np.array([[0.25, 0.75], [NONE, 0.5], [0.5, 0.5]])
    assert apart_by(one, other).tolist() == [0.25, 0.0, np.inf]
