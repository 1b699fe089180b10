"""The command line, `asleep-pipeline`.

Data goes to stdout, messages go to stderr. Exit codes: see `asleep_pipeline.cli._run.ExitCode`.
Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import sys

from asleep_pipeline.cli._run import new_app, run
from asleep_pipeline.cli.serve import simulate

app = new_app()
app.command()(simulate)


def main() -> None:
    """Run one command and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))
