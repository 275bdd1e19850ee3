"""Everything that is wrong with a refused request, row by row and field by field."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Protocol

import msgspec

from serving.columns import Field
from serving.refusals import FieldError, Refusal, invalid_request

_MAX_ERRORS = 100


class Form(Protocol):
    """What the diagnosis asks about a form of a row."""

    @property
    def name(self) -> str:
        """What the form is called."""

    @property
    def fields(self) -> Mapping[str, Field]:
        """Its fields by name."""


FormOf = Callable[[dict[str, object]], Form]


def diagnose(body: bytes, form_of: FormOf) -> Refusal:
    """The refusal of `body`, which no form could decode."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        return invalid_request([_field_error(error, "$")])
    except (ValueError, RecursionError) as error:
        return invalid_request([FieldError("$", f"not JSON: {error}")], status=400)
    errors = list(islice(_errors(value, form_of), _MAX_ERRORS))
    return invalid_request(errors or [FieldError("$", "cannot be read")])


def _errors(value: object, form_of: FormOf) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield FieldError("$", 'expected an object: one row, or {"rows": [...]}')
    elif "rows" in value:
        yield from _many_errors(value, form_of)
    else:
        yield from _row_errors(value, "$", form_of)


def _many_errors(value: dict[str, object], form_of: FormOf) -> Iterator[FieldError]:
    yield from (FieldError(f"$.{name}", "unknown field beside `rows`") for name in value if name != "rows")
    rows = value["rows"]
    if not isinstance(rows, list):
        yield FieldError("$.rows", "expected a list of rows")
    elif not 1 <= len(rows) <= 10_000:
        yield FieldError("$.rows", f"expected 1 to 10000 rows, got {len(rows)}")
    else:
        for index, row in enumerate(rows):
            yield from _row_errors(row, f"$.rows[{index}]", form_of)
        forms = [form_of(row).name if isinstance(row, dict) else "" for row in rows]
        other = next((index for index, name in enumerate(forms) if name != forms[0]), None)
        if other is not None:
            yield FieldError(f"$.rows[{other}]", "rows by key and full rows are mixed; send them apart")


def _row_errors(row: object, path: str, form_of: FormOf) -> Iterator[FieldError]:
    if not isinstance(row, dict):
        yield FieldError(path, "expected an object with one value a column")
        return
    fields = form_of(row).fields
    for name in row:
        if name not in fields:
            yield FieldError(f"{path}.{name[:100]}", _unknown(name, fields))
    for name, field in fields.items():
        if name in row:
            yield from _value_errors(row[name], field, f"{path}.{name}")
        elif field.required:
            yield FieldError(f"{path}.{name}", "is required")


def _value_errors(value: object, field: Field, path: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        yield _field_error(error, path)
    except RecursionError:
        yield FieldError(path, "is nested too deeply")


def _unknown(name: str, fields: Mapping[str, Field]) -> str:
    similar = difflib.get_close_matches(name[:100], fields, n=1)
    return f"unknown field; did you mean `{similar[0]}`?" if similar else "unknown field"


def _field_error(error: msgspec.ValidationError, path: str) -> FieldError:
    message, _, inner = str(error).partition(" - at ")
    return FieldError(path + inner.strip("`").removeprefix("$"), message)
