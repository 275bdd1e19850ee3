"""The bill of materials of a bundle: CycloneDX 1.6 JSON with the model, its card, and the packages of the environment.

It has no time and no random number: a rerun in the same environment gives the same bytes. https://cyclonedx.org/docs/1.6/json/
"""

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from formats.canonical import canonical_json
from formats.task import BINARY, Task, TaskKind, kind_of
from platform_assets.promotion.advisories import normalized
from platform_assets.promotion.card import Data, ModelCard
from platform_assets.promotion.spec import FIGURES

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

_LONGEST_NAME = 80  # some packages put a whole licence into the field for its name


class Package(NamedTuple):
    """An installed package: name and version as PyPI has them, and the licence that it states ("" if none)."""

    name: str
    version: str
    licence: str


_TASKS: Final[dict[TaskKind, str]] = {
    "binary": "binary classification",
    "multiclass": "multiclass classification",
    "regression": "regression",
}


def installed_packages() -> tuple[Package, ...]:
    """The packages of this environment, by name."""
    found = {
        normalized(d.metadata["Name"]): Package(normalized(d.metadata["Name"]), d.version, _licence(d))
        for d in distributions()
    }
    return tuple(found[name] for name in sorted(found))


def make_sbom(card: ModelCard, packages: Iterable[Package], task: Task = BINARY) -> bytes:
    """The bill of materials of the card's bundle, whose model answers `task`."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    bom = Bom(components=[_library(package) for package in packages])
    bom.metadata.component = _model(card)
    bom.register_dependency(bom.metadata.component, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library knows no model cards yet (11.12), and stamps each document.
    document["metadata"]["component"]["modelCard"] = _model_card(card, kind_of(task))
    del document["metadata"]["timestamp"]
    document["serialNumber"] = ""
    document["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, canonical_json(document).decode())}"
    return canonical_json(document)


def _model(card: ModelCard) -> "Component":
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=card.model,
        version=card.bundle,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=card.bundle,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=card.bundle.removeprefix("sha256:"))],
    )


def _library(package: Package) -> "Component":
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    purl = PackageURL("pypi", name=package.name, version=package.version)
    licences = [LicenseFactory().make_from_string(package.licence)] if package.licence else []
    return Component(name=package.name, version=package.version, bom_ref=purl.to_string(), purl=purl, licenses=licences)


def _model_card(card: ModelCard, kind: TaskKind) -> dict[str, Any]:
    metrics = [{"type": name, "value": f"{value:.6f}"} for name, value in card.figures.items()]
    metrics += list(_sliced(card, FIGURES[kind][0]))
    return {
        "modelParameters": {
            "task": _TASKS[kind],
            "datasets": [_dataset("training", card.training_data), _dataset("evaluation", card.evaluation_data)],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": {
            "users": [card.owner],
            "useCases": [card.intended_use],
            "technicalLimitations": list(card.limitations),
        },
    }


def _sliced(card: ModelCard, figure: str) -> Iterator[dict[str, str]]:
    for column, rows in card.slices.items():
        for row in rows:
            if row.get(figure) is not None:
                yield {"type": figure, "value": f"{row[figure]:.6f}", "slice": f"{column}={row[column]}"}


def _dataset(which: str, data: Data) -> dict[str, Any]:
    name = f"{data.table}[{data.partition}]"
    return {
        "type": "dataset",
        "name": f"{which}: {name}",
        "contents": {"properties": [{"name": "digest", "value": data.digest}]},
    }


def _licence(distribution: Distribution) -> str:
    metadata = distribution.metadata
    stated = next((metadata[name] for name in ("License-Expression", "License") if name in metadata), "")
    line, newline, _ = stated.strip().partition("\n")
    if line and not newline and len(line) <= _LONGEST_NAME:
        return line
    named = [text for text in metadata.get_all("Classifier") or () if text.startswith("License ::")]
    return named[0].rpartition(" :: ")[2] if named else line[:_LONGEST_NAME]
