"""What the SQL of a view may say: one SELECT over the view's sources, whose answer depends on nothing else.

DuckDB parses the statement, and its own syntax tree is looked through: relations that are no source, functions that give something
else each time, and table functions that read. The connection holds back what would get through all the same (sql_engine).
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

from platform_assets.features.sql_engine import END, START

if TYPE_CHECKING:
    import duckdb

_Tree = dict[str, Any]

_ROW_MAKERS: Final = {"range", "generate_series", "unnest"}
# Names that are functions where no column has them.
_CLOCKS: Final = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
# DuckDB 2.0 takes the first two for constant, and the third draws a sample.
_UNSTABLE: Final = {"current_localtime", "current_localtimestamp", "reservoir_quantile"}


class UnfitError(Exception):
    """What a statement says that a view's must not, and what to write instead."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def only_select(connection: "duckdb.DuckDBPyConnection", sql: str) -> "duckdb.Statement":
    """The statement of `sql`, which must be one SELECT. Raises UnfitError, and duckdb.Error where DuckDB cannot parse it."""
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UnfitError(f"its SQL has {len(statements)} statements, or one that is no SELECT", "write one SELECT")
    strange = sorted(statements[0].named_parameters - {START, END})
    if strange:
        raise UnfitError(f"its SQL has the parameters {strange}", "there are $start and $end")
    return statements[0]


def require_closed(connection: "duckdb.DuckDBPyConnection", sql: str, sources: dict[str, Collection[str]]) -> None:
    """Raise UnfitError if `sql` names anything but `sources` (columns by relation), or says what differs from run to run."""
    tree = _parsed(connection, sql)
    nodes = list(_nodes(tree))
    _check_relations(nodes, {name.lower() for name in sources}, _own_views(connection))
    _check_functions(nodes, _changing(connection))
    columns = {column.lower() for names in sources.values() for column in names}
    for node in nodes:
        if node.get("sample"):
            raise UnfitError(
                "its SQL takes a sample, another one each time", "choose by a key, as in hash(key) % 10 = 0"
            )
        names = [str(name).lower() for name in node.get("column_names", ())]
        if len(names) == 1 and names[0] in _CLOCKS - columns:
            raise UnfitError(f"its SQL asks for {names[0]}", "a view depends on its sources, $start and $end alone")


def _parsed(connection: "duckdb.DuckDBPyConnection", sql: str) -> _Tree:
    found = connection.execute("SELECT json_serialize_sql($sql, skip_null := true)", {"sql": sql}).fetchall()
    tree: _Tree = json.loads(found[0][0])
    if tree["error"]:
        raise UnfitError(f"DuckDB does not take its SQL: {tree['error_message']}", "write one SELECT, without PIVOT")
    return tree


def _nodes(tree: object) -> Iterator[_Tree]:
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)


def _check_relations(nodes: list[_Tree], sources: set[str], own: set[str]) -> None:
    # A name of DuckDB's own views could mean these outside of the query that gives it.
    given = {str(node["key"]).lower() for node in nodes if "key" in node and "value" in node} - own
    for node in nodes:
        kind = node.get("type")
        if kind == "SHOW_REF":
            raise UnfitError("its SQL describes relations", "select rows of the sources")
        if kind == "TABLE_FUNCTION" and _function(node["function"]) not in _ROW_MAKERS:
            raise UnfitError(f"its SQL reads from {_function(node['function'])}()", f"read {_listed(sources)}")
        if kind == "BASE_TABLE":
            path = [str(part).lower() for part in node["qualified_name"]["path"]]
            if len(path) > 1 or path[0] not in sources | given:
                raise UnfitError(
                    f"its SQL reads {'.'.join(path)}, which is none of its sources", f"it has {_listed(sources)}"
                )


def _check_functions(nodes: list[_Tree], changing: set[str]) -> None:
    for node in nodes:
        if "function_name" in node and _function(node) in changing:
            raise UnfitError(
                f"its SQL calls {_function(node)}(), which may give something else each time",
                "a view depends on its sources, $start and $end alone",
            )


def _function(node: _Tree) -> str:
    return str(node["function_name"]).lower()


def _own_views(connection: "duckdb.DuckDBPyConnection") -> set[str]:
    return {
        str(name) for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall()
    }


def _changing(connection: "duckdb.DuckDBPyConnection") -> set[str]:
    """The functions that are not a function of their arguments, and the macros that are made of them."""
    listed = (
        "SELECT DISTINCT function_name, coalesce(stability, ''), coalesce(macro_definition, '') FROM duckdb_functions()"
    )
    functions = connection.execute(listed).fetchall()
    unstable = {name for name, stability, _ in functions if stability in ("VOLATILE", "CONSISTENT_WITHIN_QUERY")}
    words = unstable | _UNSTABLE | _CLOCKS
    return words | {name for name, _, definition in functions if words & set(re.findall(r"\w+", definition))}


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
