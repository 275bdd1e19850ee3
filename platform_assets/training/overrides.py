"""A trainer's settings as a form in Dagster's launchpad, filled in with what is declared; what is changed holds for one run."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

import dagster as dg
from pydantic import Field, create_model

from formats.errors import DeclarationError
from platform_assets.training.trainer import Trainer

_PLAIN: Final = (bool, int, float, str)


class TrainingConfig(dg.Config):
    """`force` trains again although a verified bundle with the same fingerprint exists.

    A model's own form also has `trainer`, with the settings that can be changed for this run.
    """

    force: bool = False


def training_form(trainer: Trainer) -> type[TrainingConfig]:
    """The form of runs that train with `trainer`."""
    settings = _form(f"{type(trainer).__name__}Settings", settings_of(trainer), str(trainer.kind))
    told = (
        "The trainer's settings, as declared. What is changed here holds for this run, and is part of its fingerprint."
    )
    field: Any = (settings, Field(default_factory=settings, description=told))
    made: type[TrainingConfig] = create_model("TrainingConfig", __base__=TrainingConfig, trainer=field)
    return made


def with_changes(trainer: Trainer, config: TrainingConfig) -> tuple[Trainer, dict[str, Any]]:
    """The trainer of this run, and the settings in which it differs from the declared one. Raises as `with_settings`."""
    form = getattr(config, "trainer", None)
    return with_settings(trainer, {} if form is None else form.model_dump())


def with_settings(trainer: Trainer, asked: Mapping[str, Any]) -> tuple[Trainer, dict[str, Any]]:
    """The trainer with these settings, and those in which it differs from the declared one, with their values.

    Raises:
        DeclarationError: the trainer refuses a value, or does not have the setting.
    """
    declared = settings_of(trainer)
    if unknown := sorted({*asked} - {*declared}):
        raise DeclarationError(
            "declaration-invalid", f"{trainer.kind} has no settings {unknown}", f"change some of {sorted(declared)}"
        )
    changed = {name: value for name, value in asked.items() if value != declared[name]}
    merged = {
        name: {**declared[name], **value} if isinstance(value, Mapping) else value for name, value in changed.items()
    }
    # What a form cannot hold of a mapping, such as None, stays as it is declared.
    whole = {
        name: {**getattr(trainer, name), **value} if isinstance(value, Mapping) else value
        for name, value in merged.items()
    }
    made: Trainer = replace(trainer, **whole)  # type: ignore[type-var] # every trainer is a dataclass
    return made, merged


def settings_of(trainer: Trainer) -> dict[str, Any]:
    """Name and value of each field that a form can hold: plain values, and mappings of them."""
    found = {field.name: getattr(trainer, field.name) for field in fields(trainer)}  # type: ignore[arg-type] # as above
    held = {name: _plain_part(value) if isinstance(value, Mapping) else value for name, value in found.items()}
    return {
        name: value for name, value in held.items() if isinstance(value, _PLAIN) or (value and isinstance(value, dict))
    }


def _plain_part(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if isinstance(value, _PLAIN)}


def _form(name: str, settings: Mapping[str, Any], told: str) -> type[dg.Config]:
    made: dict[str, Any] = {}
    for setting, value in settings.items():
        if isinstance(value, dict):
            inner = _form(f"{name}_{setting}", value, setting)
            made[setting] = (inner, Field(default_factory=inner, description=f"{setting} of {told}"))
        else:
            made[setting] = (type(value), Field(default=value, description=f"declared: {value}"))
    form: type[dg.Config] = create_model(name, __base__=dg.Config, **made)
    return form
