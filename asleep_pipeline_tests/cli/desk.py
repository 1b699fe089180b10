"""Somebody at a terminal: settings, a working directory, and the commands given there."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from asleep_pipeline.cli import app
from asleep_pipeline.cli._run import run
from asleep_pipeline.simulator import RunningSimulator

START, END = "2025-05-20", "2025-05-25"
"""The dates that are loaded."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The answer, read as JSON."""
        assert self.out, self.err
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Desk:
    """Somebody's settings and working directory; calling it runs a command there."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, **changed: str | None) -> Said:
        """Run a command; a keyword sets the setting of that name, None removes it."""
        out, err = io.StringIO(), io.StringIO()
        changes = {f"ASLEEP_{name.upper()}": value for name, value in changed.items()}
        wanted = {n: v for n, v in (self.environment | changes).items() if v is not None}
        with (
            patch.dict(os.environ, wanted),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(app, list(arguments))
        return Said(code, out.getvalue(), err.getvalue())

    @property
    def data_dir(self) -> Path:
        """Where everything is written."""
        return self.folder / "data"

    @property
    def roster(self) -> Path:
        """The roster of the simulator's people."""
        return self.folder / "roster.csv"


def new_desk(folder: Path, simulator: RunningSimulator) -> Desk:
    """A desk with a roster and a key, where nothing has been done yet."""
    desk = Desk(
        folder,
        {
            "ASLEEP_API_KEY": simulator.api_key,
            "ASLEEP_BASE_URL": simulator.base_url,
            "ASLEEP_DATA_DIR": str(folder / "data"),
            "ASLEEP_SHARDS": "1",
        },
    )
    simulator.world.write_roster(desk.roster)
    return desk
