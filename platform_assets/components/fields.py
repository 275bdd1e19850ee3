"""Kinds of fields that forms have: what may be left out, dotted paths, and specs that are their own form.

What such a spec refuses becomes one of pydantic's findings, so that Dagster tells it with its line.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import Field, PlainValidator, WithJsonSchema, WrapValidator
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from formats.errors import DeclarationError
from formats.task import Task
from platform_assets.features.sources import FileSource
from platform_assets.monitoring.retraining import RetrainingRule
from platform_assets.promotion.spec import AnyGate, Card, Gate

T = TypeVar("T")


class _Given:
    """`null` in the file means nothing: the schema is that of the value alone, so that what is wrong in it can be named."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        (schema,) = (each for each in handler(core)["anyOf"] if each != {"type": "null"})
        found: JsonSchemaValue = schema
        return found


# A field that may be left out.
Maybe = Annotated[T | None, _Given()]
# What Python calls something.
Dotted = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", description="<package>.<module>.<name>")]


def _sound(value: object, build: Callable[[object], object]) -> object:
    """The spec, or what it refuses in pydantic's words, which are told with their line."""
    try:
        return build(value)
    except DeclarationError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _converted(kind: Any) -> Callable[[object], object]:  # noqa: ANN401 a type, or a union of types
    """What makes a msgspec `kind` of plain values; its refusals in pydantic's words."""

    def convert(value: object) -> object:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    return lambda value: _sound(value, convert)


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return found


def _gate_schema() -> dict[str, Any]:
    """One schema a gate, chosen by its tag: an error then names the field, where `oneOf` would only say that none fits."""
    kinds = {str(kind.__struct_config__.tag): _schema(kind) for kind in AnyGate.__args__}
    chosen = [
        {"if": {"properties": {"gate": {"const": tag}}, "required": ["gate"]}, "then": schema}
        for tag, schema in kinds.items()
    ]
    return {
        "type": "object",
        "required": ["gate"],
        "properties": {"gate": {"enum": sorted(kinds)}},
        "allOf": chosen,
    }


TaskForm = Annotated[
    Task,
    PlainValidator(_converted(Task)),
    WithJsonSchema({"type": "object", "required": ["kind"], "properties": {"kind": {}}}),
]
GateForm = Annotated[Gate, PlainValidator(_converted(AnyGate)), WithJsonSchema(_gate_schema())]
CardForm = Annotated[Card, PlainValidator(_converted(Card)), WithJsonSchema(_schema(Card))]
# For specs of plain values that check themselves.
SOUND = WrapValidator(_sound)
FileForm = Annotated[FileSource, SOUND]
RetrainingForm = Annotated[RetrainingRule, SOUND]
