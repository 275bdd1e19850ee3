"""Which columns of its sources a SELECT is made of: found by sqlglot from the text."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from platform_assets.features.lineage import Traced

if TYPE_CHECKING:
    from sqlglot.lineage import Node
    from sqlglot.optimizer.scope import Scope

    # A column of a source: relation and name, in lower case.
    Place = tuple[str, str]

# sqlglot takes `$start,$` for the beginning of a quoted text.
_PARAMETER: Final = re.compile(r"\$(\w+)")


def sql_traced(sql: str, relations: Mapping[str, Collection[str]]) -> Traced | None:
    """Trace a statement over `relations`, which are given with their columns; None where sqlglot cannot follow it.

    Columns of the result are in lower case: SQL does not tell names apart by it.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, object] = {name: dict.fromkeys(columns, "UNKNOWN") for name, columns in relations.items()}
    try:
        text = parse_one(_PARAMETER.sub(r"$\1 ", sql), dialect="duckdb")
        tree = qualify(text, schema=schema, dialect="duckdb", identify=False)
        scope = build_scope(tree)
        if scope is None or tree.find(exp.Columns):
            return None
        found = lineage(None, tree, schema, scope=scope, dialect="duckdb", copy=False)
    except SqlglotError:
        return None
    names = {(name.lower(), column.lower()): f"{name}.{column}" for name, of in relations.items() for column in of}
    columns = {name.lower(): _named(_leaves(node), names) for name, node in found.items()}
    return Traced(columns, frozenset(_named(_read(scope), names)))


def _named(places: "Iterator[Place]", names: "Mapping[Place, str]") -> tuple[str, ...]:
    return tuple(sorted({names[place] for place in places if place in names}))


def _leaves(node: "Node") -> "Iterator[Place]":
    from sqlglot import exp

    for leaf in node.walk():
        if not leaf.downstream and isinstance(leaf.source, exp.Table):
            yield leaf.source.name.lower(), leaf.name.rpartition(".")[2].strip('"').lower()


def _read(scope: "Scope") -> "Iterator[Place]":
    from sqlglot import exp

    for part in scope.traverse():
        for column in part.columns:
            source = part.sources.get(column.table)
            if isinstance(source, exp.Table):
                yield source.name.lower(), column.name.lower()
