"""Hold-out rows on the endpoint's own way: JSON, its decoder, its session. They must score as they did from the table."""

from typing import Any

import msgspec
import numpy as np
import polars as pl

from platform_assets.answers import distance
from platform_assets.promotion.case import PromotionCase
from platform_assets.promotion.results import bounded, listed
from platform_assets.promotion.spec import GateResult, ServingSkew
from serving.refusals import Refusal

_REQUEST = 500  # rows


def serving_skew(case: PromotionCase, gate: ServingSkew) -> GateResult:
    """The endpoint takes every row, and answers what the table's row was answered."""
    places = case.spread(gate.rows)
    frame, expected = case.frame[places].select(column.name for column in case.contract.columns), case.score[places]
    answers, refusals = [], []
    for tile in frame.iter_slices(_REQUEST):
        try:
            batch = case.served.decoder.decode(request_of(tile))
        except Refusal as refusal:
            refusals += _told(refusal)
        else:
            answers.append(case.served.run(batch.numeric, batch.categorical).astype(np.float64))
    if refusals:
        return listed(gate, refusals, "")
    worst = float(distance(np.concatenate(answers), expected).max()) / case.unit
    message = (
        f"{len(places)} hold-out rows differ by {worst:.2g} at most between the table and the endpoint's path; "
        f"{gate.tolerance:g} is allowed"
    )
    return bounded(gate, worst, gate.tolerance, message, most=True)


def request_of(rows: pl.DataFrame) -> bytes:
    """The request for the full feature rows in `rows`; a NaN becomes null, as JSON has none."""
    return msgspec.json.encode({"rows": rows.to_dicts()})


def _told(refusal: Refusal) -> list[dict[str, Any]]:
    body = msgspec.json.decode(refusal.body)
    return [
        {"what": error["path"], "found": error["message"], "expected": "a row that the endpoint takes"}
        for error in body.get("errors", [{"path": "$", "message": body["message"]}])
    ]
