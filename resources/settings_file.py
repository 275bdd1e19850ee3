"""Settings of an installation as YAML files with a fixed shape: what is unknown or malformed is refused by name."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from formats.errors import DeclarationError

Settings = TypeVar("Settings", bound=msgspec.Struct)


def read_settings_file(path: Path, kind: type[Settings], hint: str) -> Settings:
    """The settings in `path`, or the defaults without it. Raises DeclarationError with `hint` if it cannot be understood."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return kind()
    except UnicodeDecodeError as error:
        raise _unclear(path, f"byte {error.start} is not UTF-8", hint) from None
    import yaml

    try:
        document: Any = yaml.safe_load(text) or {}
        return msgspec.convert(document, kind)
    except yaml.YAMLError as error:
        # The whole error quotes the file, and somebody may have written a secret into it.
        mark = getattr(error, "problem_mark", None)
        raise _unclear(path, "it is not YAML" if mark is None else f"line {mark.line + 1} is not YAML", hint) from None
    except msgspec.ValidationError as error:
        raise _unclear(path, str(error), hint) from error
    except ValueError:  # that of a date or number, as YAML's own constructors raise it
        raise _unclear(
            path, "it has a date or a number that does not exist; quote a text that looks like one", hint
        ) from None


def _unclear(path: Path, why: str, hint: str) -> DeclarationError:
    return DeclarationError("declaration-invalid", f"{path} cannot be understood: {why}", hint)
