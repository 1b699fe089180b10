"""Builds the marts, and brings them up to date in proportion to what changed.

A mart is a SELECT over what is there already, restricted to its `scope`: a temporary table of the
keys that a change can have touched. Those rows are deleted and selected anew; a first build is the
same with every key in the scope. The SELECTs are the .sql files beside this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

import duckdb

from asleep_pipeline.errors import WarehouseError
from asleep_pipeline.lake.cohorts import Cohort
from asleep_pipeline.lake.columns import Table
from asleep_pipeline.sleep.parameters import OwnParameters, Parameters
from asleep_pipeline.warehouse.marts.tables import (
    COHORT_MEMBER,
    COHORT_WEEK,
    DIM_USER,
    FCT_NIGHT,
    FCT_SESSION,
    FCT_USER_DAY,
    ORG_MONTH,
    ORG_WEEK,
    ORGANISATION,
    PARAMETERS,
    USER_MONTH,
    USER_WEEK,
    WINDOWS_DAYS,
)
from asleep_pipeline.warehouse.parts import in_parts

_FOLDER = files("asleep_pipeline.warehouse.marts")
_SQL: Final = {
    name: _FOLDER.joinpath(f"{name}.sql").read_text(encoding="utf-8")
    for name in (
        "dim_organisation",
        "dim_user",
        "fct_session",
        "fct_night",
        "span_figures",
        "fct_user_day",
        "user_period",
        "group_period",
    )
}
GROUP_PERIOD: Final = _SQL["group_period"]
"""Figures of groups, from `grouped` for the keys in `scope` (group_key, period)."""
SELECTS: Final = "\n".join(
    [*_SQL.values(), _FOLDER.joinpath("build.py").read_text(encoding="utf-8")]
)
"""The text of all marts, and of what builds them: another text makes another layout of the published file."""

_SESSIONS_A_PART: Final = 50_000
"""Bounds the memory of a build."""

_GROUPS: Final = (
    (ORG_WEEK, USER_WEEK, "mart_user_week"),
    (ORG_MONTH, USER_MONTH, "mart_user_month"),
    (COHORT_WEEK, USER_WEEK, "cohort_member JOIN mart_user_week USING (user_id)"),
)


def write_parameters(con: duckdb.DuckDBPyConnection, parameters: Parameters) -> None:
    """Put down what the marts are made with: one row."""
    score = parameters.score
    row = {
        "free_days": list(parameters.free_days),
        "sleep_need_s": parameters.sleep_need_s,
        "short_sleep_s": parameters.short_sleep_s,
        "min_group_size": parameters.min_group_size,
        **score.model_dump(exclude={"duration_bands"}),
        "duration_bands": [band.model_dump() for band in score.duration_bands],
        "score_version": score.version,
    }
    values = ", ".join(f"${name}::{_type_of(name)} AS {name}" for name in row)
    con.execute(f"DELETE FROM {PARAMETERS.name}")
    con.execute(f"INSERT INTO {PARAMETERS.name} BY NAME SELECT {values}", row)


def refresh_organisations(
    con: duckdb.DuckDBPyConnection, own: Mapping[str, OwnParameters]
) -> Counter[str]:
    """Replace `dim_organisation`, and remember whose groups and users it makes different.

    Args:
        con: As of `refresh_marts`.
        own: What is different for an organisation, by its name.

    Returns:
        Rows written, by mart; nothing when all organisations are as they were.
    """
    columns: list[list[object]] = [
        list(own),
        [None if each.free_days is None else list(each.free_days) for each in own.values()],
        [each.min_group_size for each in own.values()],
    ]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE own AS SELECT unnest($1::VARCHAR[]) AS org_id, "
        "unnest($2::TINYINT[][]) AS free_days, unnest($3::INTEGER[]) AS min_group_size",
        columns,
    )
    con.execute("CREATE OR REPLACE TEMP TABLE earlier AS FROM dim_organisation")
    con.execute(f"DELETE FROM {ORGANISATION.name}")
    count = _insert(con, ORGANISATION, _SQL["dim_organisation"])
    changed = con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE changed_organisations AS
        SELECT DISTINCT org_id FROM ({_difference("dim_organisation", "earlier")})
        """
    ).fetchone()
    return Counter({ORGANISATION.name: count} if changed and changed[0] else {})


def refresh_marts(con: duckdb.DuckDBPyConnection, cohorts: Sequence[Cohort] = ()) -> Counter[str]:
    """Bring every other mart up to date with `sessions`, `users`, `mart_parameters` and `dim_organisation`.

    Args:
        con: A connection to the working file, in a transaction, with a temporary table
            `changed_sessions` (user_id, session_id): what was inserted, changed or removed since
            the marts were last brought up to date; after `refresh_organisations`.
        cohorts: Groups of users to be looked at week by week.

    Returns:
        Rows written by mart.

    Raises:
        WarehouseError: The condition of a cohort cannot be evaluated.
    """
    written: Counter[str] = Counter()
    _refresh_users(con, written)
    _refresh_members(con, cohorts, written)
    _find_touched(con)
    for part in range(_number_of_parts(con)):
        _refresh_part(con, part, written)
    _refresh_groups(con, written)
    return written


def _refresh_users(con: duckdb.DuckDBPyConnection, written: Counter[str]) -> None:
    """Replace `dim_user`, and remember whose nights it makes different."""
    decisive = "user_id, free_days, sleep_need_s"
    con.execute(f"CREATE OR REPLACE TEMP TABLE earlier AS SELECT {decisive} FROM dim_user")
    con.execute(f"DELETE FROM {DIM_USER.name}")
    written[DIM_USER.name] = _insert(con, DIM_USER, _SQL["dim_user"])
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE changed_users AS
        SELECT DISTINCT user_id FROM (
            (SELECT {decisive} FROM dim_user EXCEPT SELECT * FROM earlier)
            UNION ALL
            (SELECT * FROM earlier EXCEPT SELECT {decisive} FROM dim_user)
        )
        """
    )


def _refresh_members(
    con: duckdb.DuckDBPyConnection, cohorts: Sequence[Cohort], written: Counter[str]
) -> None:
    """Replace `cohort_member`, and remember which cohorts have become different."""
    con.execute("CREATE OR REPLACE TEMP TABLE earlier AS FROM cohort_member")
    con.execute(f"DELETE FROM {COHORT_MEMBER.name}")
    for cohort in cohorts:
        written[COHORT_MEMBER.name] += _insert_members(con, cohort)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE changed_cohorts AS
        SELECT DISTINCT cohort FROM (
            {_difference("cohort_member", "earlier")}
        )
        """
    )


def _insert_members(con: duckdb.DuckDBPyConnection, cohort: Cohort) -> int:
    users = cohort.user_ids if cohort.condition is None else _who_meets(con, cohort)
    row = con.execute(
        """
        INSERT INTO cohort_member
        SELECT $1, user_id FROM dim_user WHERE list_contains($2, user_id) ORDER BY user_id
        """,
        [cohort.name, list(users)],
    ).fetchone()
    return int(row[0]) if row else 0


def _who_meets(con: duckdb.DuckDBPyConnection, cohort: Cohort) -> list[str]:
    """Users who meet a cohort's condition; whom it cannot be evaluated for is none of them.

    Evaluated aside: an error would undo everything that the publication has done so far.
    """
    people = con.execute("FROM dim_user").to_arrow_table()
    problem = ""
    with duckdb.connect() as aside:
        aside.register("dim_user", people)
        # TRY takes no subquery; such a condition holds for all users or fails for all.
        for condition in (f"TRY(({cohort.condition}\n))", f"({cohort.condition}\n)"):
            try:
                found = aside.execute(f"SELECT user_id FROM dim_user WHERE {condition}")
                return [user_id for (user_id,) in found.fetchall()]
            except duckdb.Error as error:
                # What DuckDB says of a value would name a user.
                problem = type(error).__name__
    raise WarehouseError(
        f"The condition of the cohort {cohort.name!r} fails: {problem}.",
        fix=f"Define it anew, or `asleep-pipeline cohort drop {cohort.name}`.",
    )


def _find_touched(con: duckdb.DuckDBPyConnection) -> None:
    """Which nights and sessions can be different from what the marts say of them.

    A session touches its night date as it was and as it is; by the comparison with the day before
    and by sleep that reaches over noon also the dates from one before to two after it. Sessions of
    one date decide together which of them is the main sleep.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE changed_nights AS
        SELECT user_id, night_date FROM fct_session SEMI JOIN changed_sessions USING (user_id, session_id)
        UNION
        SELECT user_id, night_date FROM sessions SEMI JOIN changed_sessions USING (user_id, session_id)
        """
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE touched_nights AS
        SELECT user_id, night_date + near::INTEGER AS night_date
        FROM changed_nights CROSS JOIN (SELECT unnest(range(-1, 3)) AS near)
        WHERE night_date IS NOT NULL
        UNION
        SELECT user_id, night_date FROM fct_night SEMI JOIN changed_users USING (user_id)
        """
    )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE touched_sessions AS
        SELECT user_id, session_id FROM changed_sessions
        UNION
        SELECT user_id, session_id FROM sessions SEMI JOIN changed_nights USING (user_id, night_date)
        """
    )
    touched = "(SELECT user_id FROM touched_sessions UNION ALL SELECT user_id FROM touched_nights)"
    con.execute(f"CREATE OR REPLACE TEMP TABLE parts AS {in_parts(touched, _SESSIONS_A_PART)}")


def _number_of_parts(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("SELECT coalesce(max(part) + 1, 0) FROM parts").fetchone()
    return int(row[0]) if row else 0


def _refresh_part(con: duckdb.DuckDBPyConnection, part: int, written: Counter[str]) -> None:
    of_part = f"SEMI JOIN (SELECT user_id FROM parts WHERE part = {part}) USING (user_id)"
    nights = f"(SELECT user_id, night_date FROM touched_nights {of_part})"
    _scope(con, f"SELECT user_id, session_id FROM touched_sessions {of_part}")
    written[FCT_SESSION.name] += _replace(con, FCT_SESSION, _SQL["fct_session"])
    _scope(con, f"SELECT user_id, night_date FROM {nights}")
    written[FCT_NIGHT.name] += _replace(con, FCT_NIGHT, _SQL["fct_night"])
    _refresh_windows(con, nights, written)
    for table in (USER_WEEK, USER_MONTH):
        _refresh_period(con, table, nights, written)


def _refresh_windows(con: duckdb.DuckDBPyConnection, nights: str, written: Counter[str]) -> None:
    """A night is in the windows that end with it or up to a window's length later."""
    days = ", ".join(f"({days})" for days in WINDOWS_DAYS)
    _scope(
        con,
        f"""
        SELECT DISTINCT user_id, night_date + later::INTEGER AS night_date, window_days
        FROM {nights}
        CROSS JOIN (VALUES {days}) AS w(window_days)
        CROSS JOIN (SELECT unnest(range({max(WINDOWS_DAYS)})) AS later)
        WHERE later < window_days
        """,
    )
    _delete_scope(con, FCT_USER_DAY)
    _scope(
        con,
        """
        SELECT user_id, night_date AS until, window_days AS days
        FROM scope SEMI JOIN (SELECT * FROM fct_night WHERE is_night) USING (user_id, night_date)
        """,
    )
    written[FCT_USER_DAY.name] += _insert(con, FCT_USER_DAY, _of_spans("fct_user_day"))


def _refresh_period(
    con: duckdb.DuckDBPyConnection, table: Table, nights: str, written: Counter[str]
) -> None:
    period = table.key[-1]
    _scope(
        con,
        f"SELECT DISTINCT user_id, date_trunc('{period}', night_date)::DATE AS {period} FROM {nights}",
    )
    _delete_scope(con, table)
    _scope(
        con,
        f"""
        SELECT user_id, until, date_diff('day', {period}, until) + 1 AS days
        FROM (SELECT *, ({period} + INTERVAL 1 {period} - INTERVAL 1 DAY)::DATE AS until FROM scope)
        """,
    )
    select = f"SELECT * RENAME (period AS {period}) FROM ({_of_spans('user_period')})"
    written[table.name] += _insert(con, table, select)


def _refresh_groups(con: duckdb.DuckDBPyConnection, written: Counter[str]) -> None:
    for table, of_users, source in _GROUPS:
        group, period = table.key
        con.execute(f"CREATE OR REPLACE TEMP VIEW grouped AS {grouped_select(table, source)}")
        # All groups of the periods that were touched, and all periods of a cohort that is another or of
        # whose organisations one is.
        _scope(
            con,
            f"""
            SELECT group_key, period
            FROM (SELECT group_key FROM grouped UNION SELECT {group} FROM {table.name})
            CROSS JOIN (
                SELECT DISTINCT date_trunc('{period}', night_date)::DATE AS period FROM touched_nights
            )
            UNION
            SELECT cohort, {period}
            FROM changed_cohorts CROSS JOIN (SELECT DISTINCT {period} FROM {of_users.name})
            WHERE '{group}' = '{COHORT_MEMBER.key[0]}'
            UNION
            SELECT group_key, period FROM grouped SEMI JOIN changed_organisations USING (org_id)
            """,
        )
        con.execute(
            f"DELETE FROM {table.name} USING scope WHERE {group} = group_key AND {period} = scope.period"
        )
        names = f"group_key AS {group}, period AS {period}"
        written[table.name] = _insert(
            con, table, f"SELECT * RENAME ({names}) FROM ({GROUP_PERIOD})"
        )


def grouped_select(table: Table, source: str) -> str:
    """What `GROUP_PERIOD` takes as `grouped`.

    Args:
        table: The mart of groups whose keys and period are meant.
        source: What gives the users' weeks or months, with a column for the group.
    """
    group, period = table.key
    return f"""
        SELECT {group} AS group_key, {period} AS period, * EXCLUDE ({period}),
            nights * 2 >= date_diff('day', {period}, {period} + INTERVAL 1 {period}) AS is_enough
        FROM {source}
    """


def _difference(one: str, other: str) -> str:
    """The rows that only one of two tables has."""
    return f"(FROM {one} EXCEPT FROM {other}) UNION ALL (FROM {other} EXCEPT FROM {one})"


def _of_spans(name: str) -> str:
    return f"WITH span AS ({_SQL['span_figures']}) {_SQL[name]}"


def _scope(con: duckdb.DuckDBPyConnection, select: str) -> None:
    con.execute(f"CREATE OR REPLACE TEMP TABLE scope AS {select}")


def _replace(con: duckdb.DuckDBPyConnection, table: Table, select: str) -> int:
    _delete_scope(con, table)
    return _insert(con, table, select)


def _delete_scope(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    same = " AND ".join(f"{table.name}.{name} = scope.{name}" for name in table.key)
    con.execute(f"DELETE FROM {table.name} USING scope WHERE {same}")


def _insert(con: duckdb.DuckDBPyConnection, table: Table, select: str) -> int:
    names = ", ".join(table.column_names)
    row = con.execute(
        f"INSERT INTO {table.name} BY NAME SELECT {names} FROM ({select}) ORDER BY {', '.join(table.sorted_by)}"
    ).fetchone()
    return int(row[0]) if row else 0


def _type_of(name: str) -> str:
    return next(column.type for column in PARAMETERS.columns if column.name == name)
