"""The metrics of the pull: one file for all processes, and the receiver shows it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from asleep_pipeline.asleep import Counters
from asleep_pipeline.metrics import PullCollector, count, metrics_file

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DID = Counters(requests=Counter(get_session=3), failures=Counter({"get_session: ServerError": 1}))
COUNTING = """
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
import sys
from asleep_pipeline.asleep import Counters
from asleep_pipeline.metrics import count
for _ in range(20):
    did = Counters(requests=Counter(get_session=1))
    count(Path(sys.argv[1]), "users", did, at=datetime.now(UTC), error=None)
"""


def shown(file: Path) -> str:
    """What a scrape of the file shows."""
    registry = CollectorRegistry()
    registry.register(PullCollector(file))
    return generate_latest(registry).decode()


def test_processes_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    """Every request of each is in the sum."""
    file = metrics_file(tmp_path)
    processes = [subprocess.Popen([sys.executable, "-c", COUNTING, str(file)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert 'asleep_pull_requests_total{endpoint="get_session"} 40.0' in file.read_text()


def test_a_scrape_shows_what_the_file_says(tmp_path: Path) -> None:
    """Value for value; nothing while there is no file."""
    file = metrics_file(tmp_path)
    assert shown(file) == ""
    count(file, "users", DID, at=NOW, error="QuotaExceeded")
    assert shown(file) == file.read_text()
    assert 'failures_total{endpoint="get_session",kind="ServerError"} 1.0' in shown(file)
    assert f'failure_timestamp_seconds{{asset="users"}} {NOW.timestamp():.7e}' in shown(file)


def test_a_file_of_other_labels_is_begun_anew(tmp_path: Path) -> None:
    """Another release, or a hand, left it; a run must not fail for it."""
    file = metrics_file(tmp_path)
    file.parent.mkdir()
    file.write_text("# TYPE asleep_pull_requests counter\nasleep_pull_requests_total 3\n")
    count(file, "users", Counters(), at=datetime(2026, 1, 1, tzinfo=UTC), error=None)
    assert 'asleep_pull_ends_total{asset="users",kind="ok"} 1.0' in shown(file)


def test_a_file_that_is_no_metrics_is_begun_anew(tmp_path: Path) -> None:
    """As after a counter's restart, which Prometheus understands."""
    file = metrics_file(tmp_path)
    file.parent.mkdir()
    file.write_text("{ not metrics")
    count(file, "users", DID, at=NOW, error=None)
    assert 'asleep_pull_requests_total{endpoint="get_session"} 3.0' in file.read_text()
