"""Taking one person out of the lake, so that no byte of theirs stays in its files or its catalog.

Three stages, each of which may be repeated. `forget_rows` deletes; from then on no reader of the newest
snapshot sees the person. `rewrite_files` makes the files anew that still hold what was deleted.
`forget_history` gives up the earlier snapshots and removes the files that only they need: the lake cannot be
read as it was before.
"""

from __future__ import annotations

from typing import Final

import duckdb

from asleep_pipeline.errors import ErasureError
from asleep_pipeline.lake.ducklake import Lake
from asleep_pipeline.lake.engine import quoted
from asleep_pipeline.lake.progress import keep_commits
from asleep_pipeline.lake.sealing import opened
from asleep_pipeline.lake.tables import AVERAGE_STATS, TABLES

_CATALOG: Final = "__ducklake_metadata_lake"
_ABOUT_PEOPLE: Final = tuple(t.name for t in TABLES.values() if "user_id" in t.column_names)

# What is written of a column as a whole only ever grows, also by files that are gone.
_CORRECT_EXTREMES: Final = f"""
    UPDATE {_CATALOG}.ducklake_table_column_stats AS told
    SET min_value = true_.smallest, max_value = true_.largest
    FROM (
        SELECT c.table_id, c.column_id, min(s.min_value) AS smallest, max(s.max_value) AS largest
        FROM {_CATALOG}.ducklake_column AS c
        LEFT JOIN (
            SELECT s.* FROM {_CATALOG}.ducklake_file_column_stats AS s
            JOIN {_CATALOG}.ducklake_data_file AS f USING (data_file_id)
            WHERE f.end_snapshot IS NULL
        ) AS s ON s.table_id = c.table_id AND s.column_id = c.column_id
        WHERE lower(c.column_type) = 'varchar'
        GROUP BY c.table_id, c.column_id
    ) AS true_
    WHERE told.table_id = true_.table_id AND told.column_id = true_.column_id
"""


def forget_rows(lake: Lake, user_id: str, *, alias: str) -> dict[str, int]:
    """Delete every row about a person, in one transaction.

    A condition of a cohort that compares with the id compares with the alias afterwards, which holds for
    everybody else as before.

    Args:
        lake: The lake.
        user_id: Of the person.
        alias: What no id of a user is.

    Returns:
        Rows deleted by table.

    Raises:
        ErasureError: The condition of a cohort names the person in another way.
        LakeError: The lake refused the commit.
    """
    with lake.write("erasure: rows") as con:
        _rename_in_conditions(con, user_id, alias)
        keep_commits(con)
        return {table: _delete(con, table, user_id) for table in _ABOUT_PEOPLE}


def rewrite_files(lake: Lake) -> int:
    """Make the files anew that hold deleted rows; how many there were.

    Raises:
        LakeError: The lake refused a commit.
    """
    with lake.write("erasure: files") as con:
        con.execute("CALL ducklake_flush_inlined_data('lake')")
        rewritten = sum(_rewrite(con, table) for table in TABLES)
    with lake.maintain() as con:
        con.execute(_CORRECT_EXTREMES)
    # A process that has read the extremes just before takes them for true until there is a new file.
    with lake.write("erasure: commits") as con:
        keep_commits(con)
    return rewritten


def forget_history(lake: Lake, *, before: int) -> dict[str, int]:
    """Give up the snapshots before one, and remove what only they need.

    Writers wait. A reader that is at an earlier snapshot just now may fail, and has to ask again.

    Args:
        lake: The lake.
        before: The first snapshot that stays.

    Returns:
        How many snapshots are given up, and how many files are removed.

    Raises:
        LakeError: The lake refused it.
    """
    with lake.maintain() as con:
        old = con.execute(
            "SELECT list(snapshot_id) FROM ducklake_snapshots('lake') WHERE snapshot_id < $1",
            [before],
        ).fetchall()[0][0]
        if old:
            con.execute("CALL ducklake_expire_snapshots('lake', versions => $1)", [old])
        files = _removed(con, "ducklake_cleanup_old_files")
        files += _removed(con, "ducklake_delete_orphaned_files")
    return {"snapshots": len(old or ()), "files": files}


def _delete(con: duckdb.DuckDBPyConnection, table: str, user_id: str) -> int:
    row = con.execute(f"DELETE FROM lake.{table} WHERE user_id = $1", [user_id]).fetchone()
    return int(row[0]) if row else 0


def _rewrite(con: duckdb.DuckDBPyConnection, table: str) -> int:
    rows = con.execute(
        "CALL ducklake_rewrite_data_files('lake', $1, delete_threshold => 0)", [table]
    ).fetchall()
    return sum(files for _, _, files, _ in rows)


def _removed(con: duckdb.DuckDBPyConnection, function: str) -> int:
    return len(con.execute(f"CALL {function}('lake', cleanup_all => true)").fetchall())


def _rename_in_conditions(con: duckdb.DuckDBPyConnection, user_id: str, alias: str) -> None:
    named = con.execute(
        "SELECT cohort, condition FROM lake.cohorts WHERE contains(condition, $1) ORDER BY cohort",
        [user_id],
    ).fetchall()
    for cohort, condition in named:
        renamed = condition.replace(quoted(user_id), quoted(alias))
        if user_id in renamed:
            raise ErasureError(
                f"The condition of the cohort {cohort!r} names the person.",
                fix=f"Define it anew without, or `asleep-pipeline cohort drop {cohort}`; then resume.",
            )
        con.execute("UPDATE lake.cohorts SET condition = $1 WHERE cohort = $2", [renamed, cohort])


def ids_of_sessions(lake: Lake, user_id: str) -> list[str]:
    """The ids of a person's sessions that belong to nobody else and cannot stand anywhere by chance."""
    with lake.read() as con:
        rows = con.execute(
            f"""
            WITH named AS (
                SELECT user_id, session_id FROM lake.sessions
                UNION SELECT user_id, session_id FROM lake.raw
                UNION SELECT user_id, session_id FROM lake.quarantine
                UNION SELECT user_id, unnest(slept_session_ids || never_slept_session_ids)
                FROM {opened(con, AVERAGE_STATS)}
            )
            SELECT session_id FROM named
            WHERE session_id IN (SELECT session_id FROM named WHERE user_id = $1)
            -- Digits alone are the moment of a start, which many things may bear.
              AND regexp_matches(session_id, '[^0-9]') AND length(session_id) > 8
            GROUP BY session_id HAVING count(DISTINCT user_id) = 1 ORDER BY session_id
            """,
            [user_id],
        ).fetchall()
    return [session_id for (session_id,) in rows]


def other_ids(lake: Lake, user_id: str) -> list[str]:
    """The ids of other users on the roster that hold a user's as a part."""
    with lake.read() as con:
        rows = con.execute(
            "SELECT user_id FROM lake.users WHERE contains(user_id, $1) AND user_id <> $1",
            [user_id],
        ).fetchall()
    return [other for (other,) in rows]
