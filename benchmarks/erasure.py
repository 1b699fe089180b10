"""Erasing one person among very many: how long it takes, by step, and that nobody else is touched.

`python -m benchmarks.erasure [SESSIONS]` (default: 3,650,000: ten thousand people with a year of nights;
about 20 GB of disk). Figures are printed only when the erasure's own search found nothing, and every row
of everybody else is as it was.
"""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import duckdb

from asleep_pipeline.lake import Lake
from asleep_pipeline.log import configure_logging
from asleep_pipeline.privacy.erasure import erasure_of
from asleep_pipeline.privacy.journal import Erasure
from asleep_pipeline.settings import Settings, load_settings
from asleep_pipeline.warehouse.export import read_warehouse
from benchmarks.costs import measure
from benchmarks.ours_cli import PROGRAM
from benchmarks.serving import made
from benchmarks.tables import print_machine, print_table

WHEN: Final = ("load_info",)
"""Tables that tell of the publication."""
MEANS: Final = ("fct_user_day", "mart_")
"""Tables of means: the last digits of a floating-point sum depend on the order of what is added."""
AS_EQUAL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds of everybody else.

    Attributes:
        rows: How many.
        exact: Sum of the hashes of all values that must be the same to the last bit.
        sums: Of each column of means.
    """

    rows: int
    exact: int
    sums: tuple[float, ...]

    def equals(self, other: Content) -> bool:
        """Whether the other one is the same."""
        is_same = (self.rows, self.exact) == (other.rows, other.exact)
        return is_same and all(
            math.isclose(one, two, rel_tol=AS_EQUAL)
            for one, two in zip(self.sums, other.sums, strict=True)
        )


Contents = dict[str, Content]


def somebody(lake: Lake) -> tuple[str, str]:
    """A user whose id is part of no other id, and the organisation."""
    sql = "SELECT user_id, org_id FROM users ORDER BY length(user_id) DESC, user_id DESC LIMIT 1"
    user_id, org_id = lake.frame(sql).row(0)
    return user_id, org_id


def contents(file: Path, user_id: str, org_id: str) -> Contents:
    """What a published file holds of everybody else.

    Args:
        file: The published file.
        user_id: Whose rows do not count.
        org_id: Whose figures do not count, since the person's nights are in them.
    """
    with read_warehouse(file) as con:
        tables = con.execute(
            "SELECT table_name, map_from_entries(list((column_name, data_type))) "
            "FROM duckdb_columns() JOIN duckdb_tables() USING (schema_name, table_name) "
            "WHERE schema_name = 'main' GROUP BY table_name"
        ).fetchall()
        return {
            table: content(con, table, types, {"user_id": user_id, "org_id": org_id})
            for table, types in tables
            if table not in WHEN
        }


def content(
    con: duckdb.DuckDBPyConnection, table: str, types: dict[str, str], left_out: dict[str, str]
) -> Content:
    """What a table holds, but for the rows of one user, or of one organisation where there are no users."""
    about = next((name for name in left_out if name in types), None)
    means = [n for n, kind in types.items() if kind == "DOUBLE" and table.startswith(MEANS)]
    exact = ", ".join(name for name in types if name not in means)
    sums = ", ".join(f"coalesce(fsum({name}), 0)" for name in means)
    others = f"WHERE {about} IS DISTINCT FROM $1" if about else ""
    found = con.execute(
        f"SELECT count(*), coalesce(sum(hash(({exact}))::HUGEINT), 0), [{sums}] FROM {table} {others}",
        [left_out[about]] if about else [],
    ).fetchone()
    rows, hashes, added = found or (0, 0, [])
    return Content(rows, int(hashes), tuple(added))


def by_step(erasure: Erasure) -> list[tuple[str, float]]:
    """Seconds that each step took."""
    moments = [("", erasure.requested_at), *((s.name, s.done_at) for s in erasure.steps)]
    return [(name, (end - begin).total_seconds()) for (_, begin), (name, end) in pairwise(moments)]


def check(settings: Settings, user_id: str, before: Contents, after: Contents) -> Erasure:
    """Refuse figures of what was no erasure.

    Raises:
        RuntimeError: It is not finished, or somebody else's rows are not as they were.
    """
    erasure = erasure_of(settings, user_id)
    if erasure is None or erasure.receipt is None:
        raise RuntimeError("the erasure is not finished")
    if changed := sorted(name for name in before if not before[name].equals(after[name])):
        raise RuntimeError(f"rows of others have changed: {changed}")
    return erasure


def main(sessions: int) -> None:
    """Print one table."""
    configure_logging()
    print_machine(("duckdb",))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings, there = load_settings(data_dir=root), made(root, sessions)
        user_id, org_id = somebody(Lake.open(settings.lake_dir))
        before = contents(settings.warehouse_path, user_id, org_id)
        command = [*PROGRAM, "erase", "user", user_id, "--yes"]
        cost = measure(command, root, {"ASLEEP_DATA_DIR": str(root)})
        after = contents(settings.warehouse_path, user_id, org_id)
        erasure = check(settings, user_id, before, after)
    users = before["users"].rows + 1
    print(f"\n{there:,} sessions of {users:,} people; one of them erased: {cost.wall_s:,.0f} s, ")
    print(
        f"{cost.cpu_s:,.0f} CPU s, peak {cost.peak_mib:,.0f} MiB; {len(before)} tables as before."
    )
    print_table(("step", "s"), by_step(erasure))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3_650_000)
