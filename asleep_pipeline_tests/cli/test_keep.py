"""`rebuild` and `maintain`: the folder is looked after without the network."""

from __future__ import annotations

from asleep_pipeline.cli._run import ExitCode
from asleep_pipeline.simulator import RunningSimulator
from asleep_pipeline_tests.cli.desk import Desk

OFFLINE = {"api_key": None, "base_url": "http://127.0.0.1:9"}
CONTENT = "SELECT sum(hash(s)) AS h FROM (SELECT * FROM sessions) AS s"


def test_rebuild_makes_the_same_tables_offline(own: Desk, simulator: RunningSimulator) -> None:
    """Everything after raw is made anew, equal to what it was, without key, network or request."""
    simulator.requests.reset()
    before = own("query", CONTENT, "--json").data
    said = own("rebuild", "--json", **OFFLINE)
    assert said.code == ExitCode.OK, said.err
    assert said.data["sessions"] > 0
    assert own("query", CONTENT, "--json").data == before
    assert not simulator.requests


def test_maintain_reports_files(own: Desk) -> None:
    """Files and bytes before and after are told; the published file answers as before."""
    before = own("query", CONTENT, "--json").data
    own("sync")
    said = own("maintain", "--json", **OFFLINE)
    assert said.code == ExitCode.OK, said.err
    assert 0 < said.data["files_after"] <= said.data["files_before"]
    assert own("rebuild").code == ExitCode.OK
    assert own("query", CONTENT, "--json").data == before


def test_looking_after_nothing(desk: Desk) -> None:
    """Without a lake both say how to get one."""
    for command in ("rebuild", "maintain"):
        said = desk(command)
        assert said.code == ExitCode.FAILED
        assert "users import FILE" in said.err
