"""Which of a trainer's settings a search may vary, and how those of a trial become a trainer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn

from formats.errors import DeclarationError
from platform_assets.datasets.spec import TrainingSet
from platform_assets.training.overrides import settings_of, with_settings
from platform_assets.training.trainer import Trainer
from platform_assets.tuning.spec import Domain, Search, Settings, Value

_KEPT: Final = {
    "seed": "the best of several draws is luck, and no better model",
    "threads": "it changes how fast a model is trained, and not how good it is",
    "refit": "a trial is measured before any refit",
}


def require_searchable(model: str, trainer: Trainer, dataset: TrainingSet, search: Search) -> None:
    """Refuse a search that could not begin, or whose trials the trainer would refuse.

    Raises:
        DeclarationError: a setting that the trainer lacks or that is not searched, a domain without the declared value or with
            one that the trainer refuses, or a split that does not fit the rows.
    """
    declared, about = searchable(trainer), f"model {model}'s search"
    for name, domain in search.space.items():
        if name in _KEPT:
            _refuse(f"{about} varies {name}: {_KEPT[name]}", "take it out of the space")
        if name not in declared:
            _refuse(f"{about} varies {name}, which {trainer.kind} does not have", f"vary some of {sorted(declared)}")
        if not domain.holds(declared[name]):
            told = f"{about} varies {name} in {domain}, in which the declared value {declared[name]!r} is not"
            _refuse(told, "the declared settings are the first trial: let the domain, in its type too, have them")
        _require_ends(about, trainer, name, domain)
    if search.split is not None:
        replace(dataset, split=search.split)


def searchable(trainer: Trainer) -> dict[str, Value]:
    """The declared settings by the names that a search has for them."""
    found: dict[str, Value] = {}
    for name, value in settings_of(trainer).items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{part}": each for part, each in value.items()}
        elif name not in _KEPT:
            found[name] = value
    return found


def declared_settings(trainer: Trainer, search: Search) -> dict[str, Value]:
    """What is declared of the settings that the search varies."""
    declared = searchable(trainer)
    return {name: declared[name] for name in search.space}


def nested(settings: Settings) -> dict[str, Any]:
    """The settings as the launchpad takes them: parts of a mapping under its name."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        whole, _, part = name.partition(".")
        if part:
            found.setdefault(whole, {})[part] = value
        else:
            found[name] = value
    return found


def tried(trainer: Trainer, settings: Settings) -> Trainer:
    """The trainer of a trial. Raises DeclarationError if it refuses a value."""
    return with_settings(trainer, nested(settings))[0]


def _require_ends(about: str, trainer: Trainer, name: str, domain: Domain) -> None:
    for value in domain.ends:
        try:
            tried(trainer, {name: value})
        except DeclarationError as error:
            told = f"{about} would try {name} = {value!r}, and {error.message}"
            raise DeclarationError("declaration-invalid", told, "narrow the domain") from error


def _refuse(what: str, hint: str) -> NoReturn:
    raise DeclarationError("declaration-invalid", what, hint)
