"""What a good afternoon's script does: httpx, one user after the other, polars, Parquet and DuckDB.

`python -m benchmarks.rival BASE_URL API_KEY ROSTER FIRST LAST OUT`. Eight requests at a time; every
answer is kept in memory until all is read.
"""

from __future__ import annotations

import asyncio
from typing import Any

import duckdb
import httpx
import polars as pl

from benchmarks.job import CONNECTIONS, Job, read_job

Rows = list[dict[str, Any]]


async def pull(job: Job) -> tuple[Rows, Rows]:
    """Every session, and every user's averages of every month."""
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=job.base_url, headers={"x-api-key": job.api_key}, limits=limits, timeout=60
    ) as http:
        turn = asyncio.Semaphore(CONNECTIONS)

        async def get(path: str, headers: dict[str, str], **query: str | int) -> Any:
            async with turn:
                answer = await http.get(path, params=query, headers=headers)
            answer.raise_for_status()
            return answer.json()["result"]

        async def sessions(user: str) -> Rows:
            found: Rows = []
            whose, window = (
                {"x-user-id": user},
                {"date_gte": str(job.first), "date_lte": str(job.last)},
            )
            while not len(found) % 100:
                page = await get(
                    "/data/v1/sessions",
                    whose,
                    **window,
                    order_by="ASC",
                    limit=100,
                    offset=len(found),
                )
                if not page["sleep_session_list"]:
                    break
                found += page["sleep_session_list"]
            ids = [item["session_id"] for item in found if item["state"] == "COMPLETE"]
            details = await asyncio.gather(*(get(f"/data/v3/sessions/{i}", whose) for i in ids))
            return [{"user_id": user} | d["session"] | (d["stat"] or {}) for d in details]

        async def averages(user: str, zone: str) -> Rows:
            path, where = f"/data/v1/users/{user}/average-stats", {"timezone": zone}
            return [
                {"user_id": user, "month": first}
                | (
                    (await get(path, where, start_date=str(first), end_date=str(last)))[
                        "average_stats"
                    ]
                    or {}
                )
                for first, last in job.months()
            ]

        users = job.users()
        details = await asyncio.gather(*map(sessions, users))
        means = await asyncio.gather(*(averages(user, zone) for user, zone in users.items()))
    return [row for rows in details for row in rows], [row for rows in means for row in rows]


def store(job: Job, sessions: Rows, averages: Rows) -> None:
    """Write each as Parquet, and both into one DuckDB file."""
    with duckdb.connect(str(job.out / "asleep.duckdb")) as con:
        for name, rows in {"sessions": sessions, "averages": averages}.items():
            file = job.out / f"{name}.parquet"
            pl.DataFrame(rows, infer_schema_length=None).write_parquet(file, compression="zstd")
            con.execute(f"CREATE TABLE {name} AS FROM '{file}'")


if __name__ == "__main__":
    asked = read_job()
    store(asked, *asyncio.run(pull(asked)))
