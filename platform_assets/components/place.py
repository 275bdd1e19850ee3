"""Where in a YAML document a declaration stands: what is wrong with it is told with file, line and column."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, ParamSpec, Protocol, TypeVar

import dagster as dg
from dagster_shared.yaml_utils.source_position import SourcePositionTree

from formats.errors import DeclarationError

P = ParamSpec("P")
T = TypeVar("T")


class Named(Protocol):
    """What has a name to be referred to by."""

    @property
    def name(self) -> str:
        """The name."""


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Place:
    """The keys that lead from the top of a document to one value of it. Without `tree`, nobody knows the lines."""

    tree: SourcePositionTree | None = None
    keys: tuple[str | int, ...] = ()

    @classmethod
    def of_attributes(cls, context: dg.ComponentLoadContext) -> "Place":
        """The attributes of the component that is being loaded."""
        return cls(context.resolution_context.source_position_tree, ("attributes",))

    def at(self, *keys: str | int) -> "Place":
        """The place further in; where the document leaves it out, messages name what is around it."""
        return replace(self, keys=(*self.keys, *keys))

    def __str__(self) -> str:
        path = ".".join(map(str, self.keys))
        if self.tree is None:
            return path
        position, _ = self.tree.lookup_closest_and_path(self.keys, None)
        return f"{position.filename}:{position.start.line}:{position.start.col}: {path}"

    def declare(self, spec: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `spec`; if it refuses the declaration, say where that stands."""
        try:
            return spec(*args, **kwargs)
        except DeclarationError as error:
            raise DeclarationError(error.code, f"{self}: {error.message}", error.hint) from error

    def refuse(self, what: str, hint: str) -> NoReturn:
        """Raise DeclarationError about this place."""
        raise DeclarationError("declaration-invalid", f"{self}: {what}", hint)

    def find(self, what: str, name: str, among: Mapping[str, T]) -> T:
        """What the document declares under `name`."""
        if name not in among:
            self.refuse(f"there is no {what} {name!r} in this file", f"use one of {sorted(among)}, or declare it")
        return among[name]

    def by_name(self, what: str, declared: Sequence[N]) -> dict[str, N]:
        """The declared by their names, of which none may occur twice."""
        found: dict[str, N] = {}
        for number, each in enumerate(declared):
            if each.name in found:
                self.at(number).refuse(f"a second {what} is called {each.name!r}", "give each its own name")
            found[each.name] = each
        return found

    def imported(self, path: str) -> object:
        """What Python calls `path`, as in `rail.views.line_record`."""
        module, _, name = path.rpartition(".")
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            self.refuse(f"{path} names the module {error.name}, which is not there", "write <package>.<module>.<name>")
        if not hasattr(found, name):
            self.refuse(f"the module {module} has no {name}", "define it there, or mend the spelling")
        return getattr(found, name)

    def function(self, path: str) -> Callable[..., Any]:
        """The function that Python calls `path`."""
        found = self.imported(path)
        if not callable(found):
            self.refuse(f"{path} is {type(found).__name__} and cannot be called", "name a function")
        return found
