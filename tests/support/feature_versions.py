"""Models of promotion_case.py that take their wind from another version of the view, and an online store that has some of them."""

import msgspec

from formats.contract import Column, ServingContract, View
from formats.home import Home
from formats.packed_features import columns_checksum
from platform_assets.features.online_note import Update, note_of
from resources.online_store import LmdbOnlineStore
from tests.support.promotion_case import CUTOFF, contract, payload

OLD, NEW = "aviation/weather@1", "aviation/weather@2"


def payload_needing(
    weights: tuple[float, float], view: str = NEW, columns: tuple[str, ...] = ("wind",)
) -> dict[str, bytes]:
    """A model that takes its wind from `view`, whose packed rows hold `columns`."""
    return payload(weights, **{"contract.json": msgspec.json.encode(_needing(view, columns))})


def serve_versions(home: Home, **views: tuple[str, ...]) -> None:
    """An update of the online store: versions of the weather (`v1`, `v2`) with the columns that are packed."""
    served = {f"aviation/weather@{name[1:]}": columns_checksum(columns) for name, columns in views.items()}
    LmdbOnlineStore(home.online).put(note_of("aviation", Update(CUTOFF, {}, served)))


def _needing(view: str, columns: tuple[str, ...]) -> ServingContract:
    wind, *others = contract().columns
    fetched = View(name=view, keys=("origin",), columns=columns, time_to_live=3600.0)
    taken: tuple[Column, ...] = (msgspec.structs.replace(wind, view=view), *others)
    return msgspec.structs.replace(contract(), columns=taken, views=(fetched,))
