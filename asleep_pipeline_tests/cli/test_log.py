"""The log: where it goes, how it looks, and what it never holds."""

from __future__ import annotations

import json
import sys

import pytest
import structlog

from asleep_pipeline.log import configure_logging

SECRET = "not-a-real-key-0123"


def test_log_is_json_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Outside a terminal each event is one JSON object on stderr, with its time in UTC."""
    configure_logging()
    structlog.get_logger().info("answered", endpoint="list_sessions", status=200)
    out, err = capsys.readouterr()
    event = json.loads(err)
    assert out == ""
    assert (event["event"], event["status"], event["level"]) == ("answered", 200, "info")
    assert event["timestamp"].endswith("Z")


def test_terminal_gets_readable_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person at a terminal reads lines, not JSON."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logging()
    structlog.get_logger().info("answered")
    assert "answered" in (line := capsys.readouterr().err)
    assert "{" not in line


@pytest.mark.parametrize(("verbose", "lines"), [(False, 0), (True, 1)])
def test_debug_events_need_verbose(
    capsys: pytest.CaptureFixture[str], verbose: bool, lines: int
) -> None:
    """Single requests are logged on request only."""
    configure_logging(verbose=verbose)
    structlog.get_logger().debug("request")
    assert len(capsys.readouterr().err.splitlines()) == lines


@pytest.mark.parametrize("terminal", [False, True])
def test_no_secret_is_logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    """Values named like credentials and the locals of a traceback stay out of the log."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logging()
    log = structlog.get_logger()
    key = SECRET
    log.info("request", api_key=key, headers={"X-Api-Key": key, "deep": {"Authorization": key}})
    try:
        _ = 1 / (len(key) - len(SECRET))
    except ZeroDivisionError:
        log.exception("failed")
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert SECRET not in err
