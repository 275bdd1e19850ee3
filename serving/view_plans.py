"""How a model's features are fetched: which views, under which keys, from where in a packed row to where in the matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from formats.contract import ServingContract, View, WithoutStore
from formats.errors import ContractError
from formats.packed_features import columns_checksum
from serving.requests import RowForm
from serving.store_keys import StoreKeys

Columns: TypeAlias = slice | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """How to fetch one view for a model: where its values lie in the packed row, and where they go in the matrix."""

    name: str
    keys: StoreKeys
    checksum: int
    width: int
    sources: Columns
    targets: Columns
    columns: tuple[str, ...]
    time_to_live: float
    flags: Columns
    flagged: tuple[str, ...]


class ViewPlans(NamedTuple):
    """The views that a model takes columns from, its text columns of views, which no packed row can hold, and what to do without
    the store.
    """

    views: tuple[ViewPlan, ...]
    unfetched: tuple[str, ...]
    without_store: WithoutStore = "refuse"


def plan_views(contract: ServingContract, keyed: RowForm) -> ViewPlans:
    """How to fetch the columns that rows by key do not bring.

    Raises:
        ContractError: a column names a view that the contract does not have, or that lacks the column.
    """
    views = {view.name: view for view in contract.views}
    for column in contract.numeric:
        view = views.get(column.view or "")
        if column.view is not None and (view is None or column.name not in view.columns or column.shape):
            raise ContractError(
                "contract-invalid",
                f"column {column.name!r} is to come from view {column.view!r}, which does not have it as a number",
                "build the model again; the contract is derived from the feature views",
            )
    plans = (_plan(view, contract, keyed) for view in contract.views)
    unfetched = tuple(column.name for column in contract.categorical if column.view is not None)
    return ViewPlans(tuple(plan for plan in plans if plan.columns), unfetched, contract.without_store)


def _plan(view: View, contract: ServingContract, keyed: RowForm) -> ViewPlan:
    places = contract.places
    used = [(places[column.name].start, column.name) for column in contract.numeric if column.view == view.name]
    flagged = tuple(name for _, name in used if name in view.degradable)
    return ViewPlan(
        name=view.name,
        keys=StoreKeys(view, contract, keyed),
        checksum=columns_checksum(view.packed),
        width=len(view.packed),
        sources=_columns([view.columns.index(name) for _, name in used]),
        targets=_columns([index for index, _ in used]),
        columns=tuple(name for _, name in used),
        time_to_live=view.time_to_live,
        flags=_columns([view.packed.index(f"degraded:{name}") for name in flagged]),
        flagged=flagged,
    )


def _columns(indices: Sequence[int]) -> Columns:
    """These columns as numpy is to take them: neighbours as a slice, which is copied at a third of the cost."""
    if indices and list(indices) == list(range(indices[0], indices[0] + len(indices))):
        return slice(indices[0], indices[0] + len(indices))
    return np.array(indices, dtype=np.intp)
