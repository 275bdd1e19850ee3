"""Which lake an installation has: the one that storage.yaml names, or Delta tables in the home."""

from formats.home import Home
from resources.delta_lake import DeltaLake
from resources.lake import Lake
from resources.object_files import ObjectFiles
from resources.storage_settings import read_storage_settings


def open_lake(home: Home) -> Lake:
    """The installation's lake. Raises DeclarationError if storage.yaml cannot be understood, DataError without its secret."""
    place = read_storage_settings(home).lake
    return DeltaLake(ObjectFiles.in_folder(home.lake) if place is None else ObjectFiles.in_bucket(place))
