"""The training of a model again, in a process of its own: the checkout's code on the rows and record that it is handed.

python -m platform_assets.reproduction.rebuild PARENT FOLDER

FOLDER holds `order.json` and `rows.arrow`; afterwards `answer.json` too and, if it was trained, `payload/`. There is neither a
ledger nor a tracker here, and nothing outside of FOLDER is written. Which commit runs this is decided by the record, so what
the two processes exchange is a format: fields are added, never renamed.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from formats.errors import DeclarationError
from formats.table_digest import table_digest
from platform_assets.cli.contracts import teams
from platform_assets.promotion.candidate import Fingerprint
from serving.lifetime import die_with

if TYPE_CHECKING:
    from platform_assets.team import Model

ORDER: Final = "order.json"
ROWS: Final = "rows.arrow"
ANSWER: Final = "answer.json"
PAYLOAD: Final = "payload"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Train `<team>/<model>` on the rows whose digest (by `key`) is `rows`, if it is the training that `fingerprint` names.

    `changed` are settings of the trainer that hold instead of the declared ones.
    """

    team: str
    model: str
    rows: str
    key: tuple[str, ...]
    fingerprint: Fingerprint
    changed: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` says why nothing was trained. `differs` names what the code here says otherwise than the record."""

    problem: str = ""
    differs: tuple[str, ...] = ()


def rebuild(root: Path, folder: Path) -> Answer:
    """Train what `folder` asks for with the code of the checkout `root`."""
    import polars as pl

    from platform_assets.training.build import Material, build, learned_contract
    from platform_assets.training.declared import fingerprint_of

    order = msgspec.json.decode((folder / ORDER).read_bytes(), type=Order)
    try:
        model = _declared(root, order)
    except DeclarationError as error:
        return Answer(problem=error.message)
    differs = _differences(order.fingerprint, fingerprint_of(order.team, model))
    if differs:
        return Answer(problem="the code of the checkout is not the one on record", differs=differs)
    rows = pl.read_ipc(folder / ROWS)
    if (digest := table_digest(rows, order.key)) != order.rows:
        return Answer(
            problem=f"the code of the commit takes the digest {digest[:19]} of the rows, not {order.rows[:19]}"
        )
    contract = learned_contract(model.contract(order.team), rows)
    (folder / PAYLOAD).mkdir()
    for name, data in build(model, contract, Material.of(model.training_set, rows)).payload.items():
        (folder / PAYLOAD / name).write_bytes(data)
    return Answer()


def _declared(root: Path, order: Order) -> "Model":
    """The model with the settings that the order changes. Raises DeclarationError if there is none, or none with such settings."""
    from platform_assets.training.overrides import with_settings

    team = next((team for team, _ in teams(root, only=order.team) if team.name == order.team), None)
    for model in team.models if team else ():
        if model.name == order.model:
            return replace(model, trainer=with_settings(model.trainer, order.changed)[0], search=None)
    told = f"the commit declares no model {order.team}/{order.model}"
    raise DeclarationError("declaration-invalid", told, "look at the record: another team may have had it then")


def _differences(recorded: Fingerprint, found: Fingerprint) -> tuple[str, ...]:
    """What decides the bytes and is not as recorded, but for the hardware: on another machine it is another one."""
    decides = ("code", "lock", "config", "seed", "threads")
    return tuple(
        f"{name} {getattr(recorded, name)} -> {getattr(found, name)}"
        for name in decides
        if getattr(recorded, name) != getattr(found, name)
    )


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    place = Path(sys.argv[2])
    (place / ANSWER).write_bytes(msgspec.json.encode(rebuild(Path.cwd(), place)))
