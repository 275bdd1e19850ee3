"""What a declared training is known by: the configuration and the code that decide what comes out, as one fingerprint."""

from dataclasses import fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from formats.canonical import digest_of
from platform_assets.datasets.sampling import Augment
from platform_assets.promotion.candidate import Fingerprint
from platform_assets.training.fingerprint import take_fingerprint
from platform_assets.training.plain import plain

if TYPE_CHECKING:
    from platform_assets.team import Model


def fingerprint_of(team: str, model: "Model") -> Fingerprint:
    """The fingerprint of training `model` of `team` with the code and lock as they are now."""
    return take_fingerprint(code_modules(model), trainer_config(team, model), model.trainer.seed, model.trainer.threads)


def trainer_config(team: str, model: "Model") -> dict[str, object]:
    """All settings that decide what comes out, as plain values: the fingerprint has their digest, the record has them."""
    declared: Any = model.trainer
    settings = {field.name: plain(getattr(declared, field.name)) for field in fields(declared)}
    return {
        "trainer": model.trainer.kind,
        **settings,
        "split": plain(model.training_set.split),
        "sampling": plain(model.training_set.sampling),
        # A file of the bundle: equal rows under another contract make another bundle.
        "contract": digest_of(msgspec.to_builtins(model.contract(team))),
        # The lock leaves torch out, whose build is the machine's choice.
        "torch": version("torch"),
    }


def code_modules(model: "Model") -> list[str]:
    """Where the code that decides a bundle starts: the team's functions and the platform's training."""
    dataset = model.training_set
    hooks = [step.make for step in dataset.sampling if isinstance(step, Augment)]
    functions = [dataset.spine.compute, *(view.compute for view in dataset.views), *hooks]
    ours = ["platform_assets.training.build", "platform_assets.datasets.build"]
    return [*model.trainer.code, *(function.__module__ for function in functions), *ours]
