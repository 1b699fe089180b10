"""The job by dlt's `rest_api` source, tuned as far as its settings go.

`python -m benchmarks.rival_dlt BASE_URL API_KEY ROSTER FIRST LAST OUT duckdb|filesystem`

What is tuned, each against dlt's default: lists, details and averages are read by parallel workers
(8 instead of 5, and as many requests on their way as the others have); the stages are JSON columns
instead of child tables with a row an epoch, and a detail is flattened by hand; of an average the
means are kept, not the nights; rows are loaded as Parquet (zstd) instead of INSERT statements;
20,000 rows are buffered instead of 5,000; two processes normalise; no progress bar, no telemetry.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.job import CONNECTIONS, Job, read_job

if TYPE_CHECKING:
    from dlt.sources.rest_api.typing import EndpointResource

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__WORKERS": str(CONNECTIONS),
    "EXTRACT__MAX_PARALLEL_ITEMS": "100",
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__DATA_WRITER__COMPRESSION": "zstd",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
}
LISTS = ("sleep_stages", "breath_stages", "snoring_stages", "peculiarities", "sleep_cycle_time")


def run(job: Job, destination: str) -> None:
    """Do the job."""
    os.environ.update(SETTINGS | {"DLT_DATA_DIR": str(job.out / "dlt")})
    import dlt  # noqa: PLC0415 - reads its settings when it is imported
    from dlt.sources.rest_api import rest_api_source  # noqa: PLC0415

    users = [{"user_id": user, "zone": zone} for user, zone in job.users().items()]
    months = [{"start": str(first), "end": str(last)} for first, last in job.months()]
    asked = [user | month for user in users for month in months]
    source = rest_api_source(
        {
            "client": {"base_url": job.base_url, "headers": {"x-api-key": job.api_key}},
            "resource_defaults": {"parallelized": True, "write_disposition": "append"},
            "resources": [
                dlt.resource([users], name="users", selected=False),
                dlt.resource([asked], name="user_months", selected=False),
                sessions(job),
                details(),
                averages(),
            ],
        }
    )
    places: dict[str, Any] = {
        "duckdb": dlt.destinations.duckdb(str(job.out / "asleep.duckdb")),
        "filesystem": dlt.destinations.filesystem(str(job.out / "files")),
    }
    pipeline = dlt.pipeline("asleep", destination=places[destination], dataset_name="nights")
    pipeline.run(source, loader_file_format="parquet")


def sessions(job: Job) -> EndpointResource:
    """A user's list."""
    return {
        "name": "sessions",
        "include_from_parent": ["user_id"],
        "endpoint": {
            "path": "data/v1/sessions",
            "headers": {"x-user-id": "{resources.users.user_id}"},
            "params": {
                "date_gte": str(job.first),
                "date_lte": str(job.last),
                "order_by": "ASC",
            },
            "data_selector": "result.sleep_session_list",
            "paginator": {"type": "offset", "limit": 100, "total_path": None},
        },
    }


def details() -> EndpointResource:
    """The detail of each session of a list."""
    return {
        "name": "details",
        "include_from_parent": ["_users_user_id"],
        "endpoint": {
            "path": "data/v3/sessions/{resources.sessions.session_id}",
            "headers": {"x-user-id": "{resources.sessions._users_user_id}"},
            "data_selector": "result",
            "paginator": {"type": "single_page"},
        },
        "processing_steps": [{"map": flat}],
        "columns": {name: {"data_type": "json"} for name in LISTS},
    }


def averages() -> EndpointResource:
    """A user's means of each month."""
    user_month = "resources.user_months"
    return {
        "name": "averages",
        "include_from_parent": ["user_id", "start"],
        "endpoint": {
            "path": f"data/v1/users/{{{user_month}.user_id}}/average-stats",
            "headers": {"timezone": f"{{{user_month}.zone}}"},
            "params": {
                "start_date": f"{{{user_month}.start}}",
                "end_date": f"{{{user_month}.end}}",
            },
            "data_selector": "result",
            "paginator": {"type": "single_page"},
        },
        "processing_steps": [{"map": means}],
    }


def flat(detail: dict[str, Any]) -> dict[str, Any]:
    """One level of columns."""
    session, stat = detail.pop("session"), detail.pop("stat", None)
    flattened: dict[str, Any] = detail | session | (stat or {})
    return flattened


def means(average: dict[str, Any]) -> dict[str, Any]:
    """The means alone."""
    average_stats: dict[str, Any] | None = average["average_stats"]
    return average_stats or {}


if __name__ == "__main__":
    destination = sys.argv.pop()
    run(read_job(), destination)
