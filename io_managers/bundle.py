"""Bundles: an output is a payload, stored under its digest; an input is the verified folder of the one that an asset points to."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from typing_extensions import override

from resources.installation import Installation
from resources.lake import WHOLE

Payload = Mapping[str, bytes]


class Bundle(NamedTuple):
    """A verified bundle: its digest and its folder (formats/bundle.py)."""

    digest: str
    folder: Path


class BundleIOManager(dg.ConfigurableIOManager):
    """Stores payloads by digest and remembers which digest a partition of an asset has."""

    installation: dg.ResourceDependency[Installation]

    @override
    def handle_output(self, context: dg.OutputContext, obj: Payload) -> None:
        store = self.installation.bundles
        digest = store.put(obj)
        partition = context.partition_key if context.has_partition_key else WHOLE
        store.point("/".join([*context.asset_key.path, partition]), digest)
        context.add_output_metadata({"bundle": digest, "bytes": sum(len(data) for data in obj.values())})

    @override
    def load_input(self, context: dg.InputContext) -> Bundle:
        partition = context.asset_partition_key if context.has_asset_partitions else WHOLE
        digest = self.installation.bundles.pointed("/".join([*context.asset_key.path, partition]))
        return Bundle(digest, self.installation.bundles.open(digest))
