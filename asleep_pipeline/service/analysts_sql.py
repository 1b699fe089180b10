"""What analysts may say in SQL: one SELECT, of what is named here and of nothing else.

DuckDB itself parses the statement. Every part of what it has read must be one that is known to be
harmless: kinds of nodes, tables, functions and types. What is new in a later DuckDB is refused until
somebody adds it. No function is among them that reads or writes outside of its arguments, depends on
anything but these, or makes text and lists longer than they were: such values are held outside of the
database's memory limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import duckdb
import msgspec

LONGEST_SQL: Final = 10_000
"""Most characters of a statement."""
_MOST_TABLES: Final = 20
_LONGEST_SERIES: Final = 10_000

_NODES: Final = frozenset(
    {
        "SELECT_NODE",
        "SET_OPERATION_NODE",
        "BASE_TABLE",
        "SUBQUERY",
        "JOIN",
        "EMPTY",
        "EXPRESSION_LIST",
        "TABLE_FUNCTION",
        "ORDER_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "DISTINCT_MODIFIER",
        "ORDER_DEFAULT",
        "ASCENDING",
        "DESCENDING",
        "DECIMAL_TYPE_INFO",
    }
)
_CLASSES: Final = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "OPERATOR",
        "STAR",
        "SUBQUERY",
        "WINDOW",
    }
)
_OPERATORS: Final = frozenset(
    {
        "COMPARE_IN",
        "COMPARE_NOT_IN",
        "GROUPING_FUNCTION",
        "OPERATOR_COALESCE",
        "OPERATOR_IS_NOT_NULL",
        "OPERATOR_IS_NULL",
        "OPERATOR_NOT",
    }
)
TYPES: Final = frozenset(
    {
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "FLOAT",
        "DOUBLE",
        "DECIMAL",
        "VARCHAR",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "INTERVAL",
    }
)
"""Types of values that may be made, and given: none of them holds many others."""
_OF_NUMBERS: Final = """
    + - * / // % ^ ** abs ceil ceiling floor round round_even trunc sign sqrt cbrt exp ln log log2 log10 pow
    power mod sin cos tan asin acos atan atan2 radians degrees pi greatest least isnan isinf isfinite nullif
"""
_OF_TEXT: Final = """
    ~~ !~~ ~~* !~~* like_escape not_like_escape ilike_escape not_ilike_escape lower upper length substring
    substr left right trim ltrim rtrim contains starts_with ends_with prefix suffix instr strpos position
    regexp_matches regexp_full_match
"""
_OF_TIME: Final = """
    date_trunc date_part year quarter month week weekofyear isoyear day dayofweek isodow dayofyear dayname
    monthname date_diff datediff make_date last_day to_days to_weeks to_months to_years to_hours to_minutes
    to_seconds
"""
_AGGREGATES: Final = """
    count count_star count_if countif sum fsum kahan_sum sumkahan avg mean favg min max median mode mad quantile
    quantile_cont quantile_disc approx_quantile approx_count_distinct stddev stddev_samp stddev_pop variance
    var_samp var_pop covar_pop covar_samp corr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
    regr_sxx regr_sxy regr_syy skewness kurtosis kurtosis_pop entropy geomean geometric_mean product bool_and
    bool_or any_value first last arg_min arg_max min_by max_by
"""
_WINDOWS: Final = """
    row_number rank dense_rank rank_dense percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""
_OURS: Final = "clock_sin clock_cos clock_resultant clock_mean clock_sd clock_difference clock_text duration_text"
FUNCTIONS: Final = frozenset(
    f"{_OF_NUMBERS} {_OF_TEXT} {_OF_TIME} {_AGGREGATES} {_WINDOWS} {_OURS}".split()
)
"""Functions that may be called."""
_MOST_ARGUMENTS: Final = {"min": 1, "max": 1, "arg_min": 2, "arg_max": 2, "min_by": 2, "max_by": 2}
"""With one more they would give lists."""
_SERIES: Final = frozenset({"range", "generate_series"})
_COMMON_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.IGNORECASE | re.ASCII)
# Names that stand for a function where no column has them.
_NO_COLUMNS: Final = frozenset(
    {
        "current_catalog",
        "current_database",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "localtime",
        "localtimestamp",
        "session_user",
        "user",
    }
)


class QueryRefused(Exception):  # noqa: N818 -- it is an answer, and a normal one
    """A statement that is not run, or not to its end; its text says why."""


def check_sql(con: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str]) -> None:
    """Say whether a statement may be run.

    Args:
        con: A connection that parses; nothing is run on it.
        sql: The statement.
        tables: Names of the tables that it may read.

    Raises:
        QueryRefused: It may not; with what is wrong, by name.
    """
    nodes = list(_nodes(_parsed(con, sql)))
    common = _common_tables(con, nodes)
    readable = {*tables, *common}
    if sum(node.get("type") == "BASE_TABLE" for node in nodes) > _MOST_TABLES:
        raise QueryRefused(f"A query names at most {_MOST_TABLES} tables.")
    series = {id(node["function"]) for node in nodes if node.get("type") == "TABLE_FUNCTION"}
    for node in nodes:
        if "class" in node:
            _check_expression(node, is_series=id(node) in series)
        elif isinstance(node.get("type"), str):
            _check_node(node, readable)


def _parsed(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """The one SELECT, as DuckDB reads it."""
    if len(sql) > LONGEST_SQL:
        raise QueryRefused(f"A query has at most {LONGEST_SQL} characters.")
    try:
        (text,) = con.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql]).fetchone() or ("{}",)
        found: dict[str, Any] = msgspec.json.decode(text)
    except (duckdb.Error, msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise QueryRefused("The query cannot be read.") from error
    if found.get("error"):
        # What cannot be turned into JSON is another kind of statement.
        is_other = found.get("error_type") == "not implemented"
        raise QueryRefused("Only SELECT is allowed." if is_other else _told(found))
    if len(found["statements"]) != 1:
        raise QueryRefused("A query is one SELECT.")
    statement: dict[str, Any] = found["statements"][0]
    if statement.get("named_param_map"):
        raise QueryRefused("A query has no parameters.")
    return statement


def _told(found: dict[str, Any]) -> str:
    return f"The query cannot be read: {str(found.get('error_message'))[:200]}"


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every object of a tree; without recursion, as statements may be deep."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _common_tables(con: duckdb.DuckDBPyConnection, nodes: list[dict[str, Any]]) -> set[str]:
    """The names that WITH gives; none that stands for something already, where WITH does not reach."""
    maps = [node["cte_map"]["map"] for node in nodes if node.get("cte_map")]
    names = {str(entry["key"]).lower() for entries in maps for entry in entries}
    for name in names:
        if not _COMMON_TABLE.fullmatch(name) or con.execute(_TAKEN, [name]).fetchone():
            raise QueryRefused(f"WITH cannot name a table {_shown(name)}; choose another name.")
    return names


_TAKEN: Final = """
SELECT 1 FROM (SELECT table_name AS name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views())
WHERE lower(name) = $1
"""


def _check_node(node: dict[str, Any], readable: Collection[str]) -> None:
    kind = node["type"]
    if kind not in _NODES:
        raise QueryRefused(f"{_words(kind)} is not allowed.")
    if kind == "BASE_TABLE":
        _check_table(node, readable)


def _check_table(node: dict[str, Any], readable: Collection[str]) -> None:
    name = node["table_name"]
    place = [part for part in (node["catalog_name"], node["schema_name"]) if part]
    if place or str(name).lower() not in readable or node.get("at_clause"):
        whole = ".".join([*place, name])
        raise QueryRefused(f"The table {_shown(whole)} is not one that can be read here.")


def _check_expression(node: dict[str, Any], *, is_series: bool) -> None:
    kind = node["class"]
    if kind not in _CLASSES:
        raise QueryRefused(f"{_words(kind)} is not allowed.")
    check = _CHECKS.get(kind)
    if is_series:
        _check_series(node)
    elif check:
        check(node)


def _check_function(node: dict[str, Any]) -> None:
    name = str(node["function_name"]).lower()
    has_place = node.get("catalog") or node.get("schema") not in {"", "main", None}
    if has_place or name not in FUNCTIONS:
        raise QueryRefused(f"The function {_shown(name)} is not allowed.")
    if len(node["children"]) > _MOST_ARGUMENTS.get(name, len(node["children"])):
        raise QueryRefused(f"The function {_shown(name)} has too many arguments.")


def _check_series(node: dict[str, Any]) -> None:
    name = str(node["function_name"]).lower()
    if name not in _SERIES or node.get("catalog") or node.get("schema"):
        raise QueryRefused(f"The table function {_shown(name)} is not allowed.")
    for child in node["children"]:
        value = child.get("value", {}).get("value")
        if child["class"] != "CONSTANT" or type(value) is not int or value > _LONGEST_SERIES:
            raise QueryRefused(f"{name} takes whole numbers up to {_LONGEST_SERIES}.")


def _check_type(node: dict[str, Any]) -> None:
    kind = node["cast_type"]
    if kind["id"] not in TYPES:
        # A type that the parser leaves to the catalog has its name aside.
        name = (kind.get("type_info") or {}).get("name") or kind["id"]
        raise QueryRefused(f"The type {_shown(str(name))} is not allowed.")


def _check_operator(node: dict[str, Any]) -> None:
    if node["type"] not in _OPERATORS:
        raise QueryRefused(f"{_words(node['type'])} is not allowed.")


def _check_column(node: dict[str, Any]) -> None:
    names = node["column_names"]
    if len(names) == 1 and names[0].lower() in _NO_COLUMNS:
        raise QueryRefused(f"The function {_shown(names[0])} is not allowed.")


_CHECKS: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "FUNCTION": _check_function,
    "WINDOW": _check_function,
    "CAST": _check_type,
    "OPERATOR": _check_operator,
    "COLUMN_REF": _check_column,
}


def _shown(name: str) -> str:
    return repr(name[:80])


def _words(kind: str) -> str:
    return kind.replace("_", " ").capitalize()
