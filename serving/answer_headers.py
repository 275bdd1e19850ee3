"""What an answer says in its headers, for proxies and callers that do not read bodies.

    x-roadbed-model: aviation/departure_delay       always, made when the release is loaded
    x-roadbed-release: <id>                         always
    x-roadbed-bundle: sha256:<hex>                  always; the version of the model
    x-roadbed-prediction: <id>[,<id>...]            the rows' ids in the prediction log, in their order, of up to 16 rows
    x-roadbed-stale: wind,gust                      columns that are stale in any of the rows; absent when none is
    x-roadbed-missing: ..., x-roadbed-degraded: ... likewise

Names are percent-encoded; beyond 32 of them the last says how many more there are, as `+8`. The body has all of it for each row.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias
from urllib.parse import quote

from formats.contract import ServingContract
from formats.release import ReleaseDocument
from serving.answers import AnyPrediction
from serving.http import JSON, Headers

MAX_IDS: Final = 16
MAX_NAMES: Final = 32
PREDICTION: Final = b"x-roadbed-prediction"
_OfRow: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
MARKS: Final = (b"x-roadbed-stale", b"x-roadbed-missing", b"x-roadbed-degraded")


class AnswerHeaders:
    """Those of one release."""

    __slots__ = ("_always", "_told")

    def __init__(self, document: ReleaseDocument, contract: ServingContract) -> None:
        self._always: Headers = (
            *JSON,
            (b"x-roadbed-model", quote(contract.model).encode()),
            (b"x-roadbed-release", quote(document.release, safe=":").encode()),
            (b"x-roadbed-bundle", quote(document.bundle, safe=":").encode()),
        )
        # A column may be called anything, a line break included, and a header ends with one.
        self._told = {column.name: quote(column.name, safe="").encode() for column in contract.columns}

    def of(self, answered: Sequence[AnyPrediction]) -> Headers:
        """The headers of the answer to these rows, at least one."""
        if len(answered) == 1:
            ids = answered[0].prediction
            marks = {(answered[0].stale, answered[0].missing, answered[0].degraded)}
        else:
            ids = "" if len(answered) > MAX_IDS else ",".join([one.prediction for one in answered])
            marks = {(one.stale, one.missing, one.degraded) for one in answered}
        named = (*self._always, (PREDICTION, ids.encode())) if ids else self._always
        return named if marks == _UNMARKED else (*named, *self._marked(marks))

    def _marked(self, marks: set[_OfRow]) -> Headers:
        """One header a kind of mark that a row has; the columns in the contract's order."""
        found = []
        for header, of_rows in zip(MARKS, zip(*marks, strict=True), strict=True):
            names: set[str] = set().union(*of_rows)
            if names:
                found.append((header, self._list(names)))
        return tuple(found)

    def _list(self, names: set[str]) -> bytes:
        told = [text for name, text in self._told.items() if name in names]
        more = len(told) - MAX_NAMES
        return b",".join([*told[:MAX_NAMES], b"+%d" % more] if more > 0 else told)


_UNMARKED: Final[set[_OfRow]] = {((), (), ())}
