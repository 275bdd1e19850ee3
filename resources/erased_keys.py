"""Keys whose rows were erased: where they stand in a table, and how a table knows one again without holding it.

A key is known again by its pseudonym, HMAC-SHA256 over the entity's name and the key's values with a secret of the installation:
whoever has the list of pseudonyms and not the secret cannot try out who is on it. Each table has a list of its own.
"""

import hmac
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import polars as pl

from formats.canonical import canonical_json

Action = Literal["erase", "mask"]

_PSEUDONYM = "__pseudonym"
_PREFIX = "hmac-sha256:"
_MASK = "masked:"
_SHOWN = 20  # characters of a pseudonym that stand for a masked key: 13 bytes of it are unique enough in one table


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where keys of `entity` stand in a table: the values in `columns`, or in the fields of that name of `inside`, a text of JSON.

    `personal` are columns that masking empties.
    """

    entity: str
    columns: tuple[str, ...]
    inside: str | None = None
    personal: tuple[str, ...] = ()

    def values(self) -> list[pl.Expr]:
        """The key's values as texts, null where there is none."""
        if self.inside is None:
            return [pl.col(name).cast(pl.String).alias(f"__key_{name}") for name in self.columns]
        text = pl.col(self.inside)
        return [text.str.json_path_match(f"$['{name}']").alias(f"__key_{name}") for name in self.columns]

    def is_in(self, names: Collection[str]) -> bool:
        """Whether a table with columns of these names has such at all."""
        return {self.inside} <= {*names} if self.inside is not None else {*self.columns} <= {*names}

    def holds(self, key: Sequence[str]) -> pl.Expr:
        """Whether a row is about `key`."""
        pairs = zip(self.values(), key, strict=True)
        return pl.all_horizontal(value == wanted for value, wanted in pairs).fill_null(value=False)

    def shows(self, pseudonym: str) -> pl.Expr:
        """Whether a row was about the key of `pseudonym` before that was masked. Where that left no text, nobody knows."""
        return pl.any_horizontal(value == mask_of(pseudonym) for value in self.values()).fill_null(value=False)


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The pseudonyms that may not stand at `place` again, and what becomes of a row that has one."""

    place: Place
    pseudonyms: dict[str, Action]


class Admitted(NamedTuple):
    """The rows that a table takes, and how many were left out or masked because their key was erased."""

    frame: pl.DataFrame
    kept_out: int


class Traces(NamedTuple):
    """Where a key stands in a table: rows of now by partition, and files by partition that only the past needs."""

    rows: Mapping[str, int]
    past: Mapping[str, int]

    @property
    def partitions(self) -> tuple[str, ...]:
        """The partitions that are not as they must be."""
        return tuple(sorted({*self.rows, *self.past}))

    def __bool__(self) -> bool:
        return bool(self.rows or self.past)


def pseudonym_of(secret: bytes, entity: str, key: Sequence[str]) -> str:
    """`hmac-sha256:<hex>` of a key."""
    return f"{_PREFIX}{hmac.digest(secret, canonical_json([entity, list(key)]), 'sha256').hex()}"


def mask_of(pseudonym: str) -> str:
    """What stands in the place of a text of the key once it is masked."""
    return _MASK + pseudonym.removeprefix(_PREFIX)[:_SHOWN]


def with_guard(guards: Sequence[Guard], place: Place, pseudonym: str, action: Action) -> tuple[Guard, ...]:
    """The guards, by which a row of `pseudonym` at `place` is not taken, or is masked. An erased key is not merely masked again."""
    found = {_name(guard.place): guard for guard in guards}
    known = found[_name(place)].pseudonyms if _name(place) in found else {}
    kept: Action = "erase" if known.get(pseudonym) == "erase" else action
    wanted = {**found, _name(place): Guard(place=place, pseudonyms={**known, pseudonym: kept})}
    return tuple(wanted[each] for each in sorted(wanted, key=str))


def admitted(frame: pl.DataFrame, guards: Sequence[Guard], secret: bytes) -> Admitted:
    """`frame` without the rows of erased keys, and with masks on those of masked ones."""
    kept_out = 0
    for guard in guards:
        if not guard.place.is_in(frame.columns):
            continue
        marked = _marked(frame, guard, secret)
        found = marked[_PSEUDONYM].is_not_null()
        if not found.any():
            continue
        kept_out += int(found.sum())
        action = pl.col(_PSEUDONYM).replace_strict(guard.pseudonyms, return_dtype=pl.String, default=None)
        staying = marked.filter(action.is_null() | (action != "erase"))
        frame = masked(staying, guard.place, pl.col(_PSEUDONYM).is_not_null(), pl.col(_PSEUDONYM)).drop(_PSEUDONYM)
    return Admitted(frame, kept_out)


def found_again(rows: pl.LazyFrame, guard: Guard, secret: bytes) -> int:
    """How many `rows` have one of the guard's keys, or the mask of one that was erased since. Of them no more than keys is read."""
    if not guard.place.is_in(rows.collect_schema().names()):
        return 0
    keys = rows.select(guard.place.values()).group_by(pl.all()).len().collect(engine="streaming")
    known = _pseudonyms(keys.drop("len"), guard, secret)
    return int(keys["len"].filter(known.is_not_null()).sum())


def masked(frame: pl.DataFrame, place: Place, rows: pl.Expr, pseudonym: pl.Expr) -> pl.DataFrame:
    """`frame` with `rows` made anonymous: a pseudonym for each text of the key, nothing for what else is personal."""
    shown = pl.lit(_MASK) + pseudonym.str.slice(len(_PREFIX), _SHOWN)
    if place.inside is not None:
        emptied = pl.col(place.inside).map_elements(_emptier(place.columns), return_dtype=pl.String)
        return frame.with_columns(pl.when(rows).then(emptied).otherwise(pl.col(place.inside)).alias(place.inside))
    changes: dict[str, pl.Expr] = {}
    for name in dict.fromkeys((*place.personal, *place.columns)):
        if name not in frame.columns:
            continue
        dtype = frame.schema[name]
        instead = shown if name in place.columns and dtype == pl.String else pl.lit(None, dtype)
        changes[name] = pl.when(rows).then(instead).otherwise(pl.col(name))
    return frame.with_columns(**changes)


def _name(place: Place) -> tuple[tuple[str, ...], str | None, str]:
    return place.columns, place.inside, place.entity


def _marked(frame: pl.DataFrame, guard: Guard, secret: bytes) -> pl.DataFrame:
    """`frame` with the pseudonym of each row that has one of the guard's."""
    named = frame.with_columns(guard.place.values())
    columns = [f"__key_{name}" for name in guard.place.columns]
    keys = named.select(columns).unique()
    told = keys.with_columns(_pseudonyms(keys, guard, secret)).drop_nulls(_PSEUDONYM)
    return named.join(told, on=columns, how="left", maintain_order="left", nulls_equal=True).drop(columns)


def _pseudonyms(keys: pl.DataFrame, guard: Guard, secret: bytes) -> pl.Series:
    """The pseudonym of each of the keys that is one of the guard's, null of the others."""
    masks = {mask_of(pseudonym): pseudonym for pseudonym, action in guard.pseudonyms.items() if action == "erase"}
    found: list[str | None] = []
    for key in keys.iter_rows():
        known = next((masks[value] for value in key if value in masks), None)
        if known is None and None not in key:
            known = pseudonym_of(secret, guard.place.entity, key)
        found.append(known if known in guard.pseudonyms else None)
    return pl.Series(_PSEUDONYM, found, pl.String)


def _emptier(names: Sequence[str]) -> Callable[[str], str]:
    def empty(text: str) -> str:
        document = msgspec.json.decode(text)
        return msgspec.json.encode({**document, **dict.fromkeys(names)}).decode()

    return empty
