"""What a good afternoon's script does: httpx, one session after the other, polars, Parquet.

`python -m benchmarks.rival BASE_URL API_KEY ROSTER START END OUT`
"""

from __future__ import annotations

import asyncio
import csv
import sys
from pathlib import Path
from typing import Any

import httpx
import polars as pl

CONNECTIONS = 8


async def pull(base_url: str, key: str, users: list[str], start: str, end: str) -> pl.DataFrame:
    """List every user's sessions and read each detail, eight requests at a time."""
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=base_url, headers={"x-api-key": key}, limits=limits
    ) as http:
        turn = asyncio.Semaphore(CONNECTIONS)

        async def get(path: str, user: str, **query: str | int) -> Any:
            async with turn:
                answer = await http.get(path, params=query, headers={"x-user-id": user})
            answer.raise_for_status()
            return answer.json()["result"]

        async def sessions(user: str) -> list[dict[str, Any]]:
            page = await get(
                "/data/v1/sessions", user, date_gte=start, date_lte=end, limit=100, order_by="ASC"
            )
            ids = [i["session_id"] for i in page["sleep_session_list"] if i["state"] == "COMPLETE"]
            details = await asyncio.gather(*(get(f"/data/v3/sessions/{i}", user) for i in ids))
            return [{"user_id": user} | d["session"] | (d["stat"] or {}) for d in details]

        rows = await asyncio.gather(*map(sessions, users))
    return pl.DataFrame([row for of_user in rows for row in of_user], infer_schema_length=None)


if __name__ == "__main__":
    url, api_key, roster, first, last, out = sys.argv[1:]
    with Path(roster).open(encoding="utf-8") as file:
        ids = [row["user_id"] for row in csv.DictReader(file)]
    asyncio.run(pull(url, api_key, ids, first, last)).write_parquet(out, compression="zstd")
