"""Which ledger an installation has, and where its anchors are: what authority.yaml names, or the embedded defaults."""

from pathlib import Path

from formats.home import Home
from resources.anchor_store import AnchorStore, FileAnchorStore, GitAnchorStore
from resources.authority_settings import AnchorPlace, read_settings
from resources.ledger import Ledger
from resources.sqlite_ledger import SqliteLedger


def open_ledger(home: Home) -> Ledger:
    """The installation's ledger. Raises DeclarationError if authority.yaml cannot be understood."""
    place = read_settings(home).ledger
    if place is None:
        return SqliteLedger(home.ledger)
    from resources.postgres_ledger import PostgresLedger

    return PostgresLedger(place.postgres)


def anchor_stores(home: Home) -> tuple[AnchorStore, ...]:
    """Every place where the ledger's head is anchored. Raises DeclarationError if authority.yaml cannot be understood."""
    places = read_settings(home).anchors
    return (FileAnchorStore(home.anchor),) if places is None else tuple(map(_store, places))


def _store(place: AnchorPlace) -> AnchorStore:
    if place.git is not None:
        return GitAnchorStore(Path(place.git))
    return FileAnchorStore(Path(str(place.file)))
