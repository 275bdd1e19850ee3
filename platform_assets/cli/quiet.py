"""Imports for a terminal: without Dagster's warnings about its beta parts, which the platform uses knowingly."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Leave those warnings out within the block."""
    from dagster import BetaWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        yield
