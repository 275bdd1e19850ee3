"""The code that a result depends on: a module's import closure inside the repository, as one hash.

Imports are read from the source (also those inside functions, but not those for type checkers), so nothing is run, and a
change of a file that the module never imports changes nothing. Packages installed from elsewhere are the lock's business.
"""

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from formats.canonical import digest_of, sha256_file

# Where a statement holds statements: `handlers` of a `try` and `cases` of a `match` hold them in their own `body`.
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")
REPOSITORY = Path(__file__).resolve().parents[2]


def closure_digest(modules: Iterable[str]) -> str:
    """`sha256:<hex>` over the name and content of every module that `modules` import, directly or not."""
    files = {name: sha256_file(path) for name, path in import_closure(modules).items()}
    return digest_of(files)


def import_closure(modules: Iterable[str]) -> dict[str, Path]:
    """Module names and files of the closure, sorted. Modules outside of the repository are left out."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or path is None:
            continue
        found[name] = path
        waiting.extend(_imports(name, path))
        waiting.extend(_parents(name))
    return dict(sorted(found.items()))


@cache
def _source(name: str) -> Path | None:
    path = next((found.resolve() for found in _candidates(name) if found.is_file()), None)
    inside = path and path.is_relative_to(REPOSITORY) and ".venv" not in path.relative_to(REPOSITORY).parts
    return path if inside else None


def _candidates(name: str) -> Iterator[Path]:
    """Where the source of a module can lie. Asking importlib for a submodule would run the module above it."""
    top, *below = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        return
    if spec is None:
        return
    if not below and spec.origin is not None and spec.origin.endswith(".py"):
        yield Path(spec.origin)
    for folder in spec.submodule_search_locations or () if below else ():
        yield Path(folder, *below, "__init__.py")
        yield Path(folder, *below).with_suffix(".py")


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _imports(name: str, path: Path) -> tuple[str, ...]:
    written = path.stat()
    return _imports_at(name, path, written.st_mtime_ns, written.st_size)


@lru_cache(maxsize=4096)
def _imports_at(name: str, path: Path, _mtime: int, _size: int) -> tuple[str, ...]:
    return tuple(_imported(name, path))


def _imported(name: str, path: Path) -> Iterator[str]:
    for node in _statements(ast.parse(path.read_bytes()).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, name, path)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _absolute(node: ast.ImportFrom, name: str, path: Path) -> str:
    """The module that is imported from, also where it is named from the importing module `name` on: `from . import x`."""
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    above = node.level - (path.name == "__init__.py")
    return ".".join([*parts[: len(parts) - above], *([node.module] if node.module else [])])


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Statements and those below them. Expressions hold no imports, and are most of a file."""
    for node in body:
        below: tuple[str, ...] = _BLOCKS
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            below = ("orelse",)
        else:
            yield node
        for block in below:
            yield from _statements(getattr(node, block, ()))
