"""The command line, `asleep-pipeline`.

Data goes to stdout, messages go to stderr. Exit codes: see `asleep_pipeline.cli._run.ExitCode`.
Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import os
import sys

from asleep_pipeline.cli._run import new_app, run
from asleep_pipeline.cli.ask import export, query
from asleep_pipeline.cli.audit import audit
from asleep_pipeline.cli.cohorts import cohort
from asleep_pipeline.cli.dashboard import dashboard
from asleep_pipeline.cli.demo import demo
from asleep_pipeline.cli.doctor import doctor
from asleep_pipeline.cli.erase import erase
from asleep_pipeline.cli.export_user import export_user
from asleep_pipeline.cli.keep import maintain, rebuild
from asleep_pipeline.cli.keys import keys
from asleep_pipeline.cli.members import members
from asleep_pipeline.cli.orgs import orgs
from asleep_pipeline.cli.pull import averages, backfill, sync
from asleep_pipeline.cli.report import report
from asleep_pipeline.cli.retention import retention
from asleep_pipeline.cli.serve import serve, simulate
from asleep_pipeline.cli.status import status
from asleep_pipeline.cli.tokens import tokens
from asleep_pipeline.cli.ui import ui
from asleep_pipeline.cli.users import users
from asleep_pipeline.cli.webhooks import webhooks
from asleep_pipeline.disk import write_privately

app = new_app()
app.command()(demo)
app.command()(doctor)
app.add_typer(users, name="users")
app.add_typer(cohort, name="cohort")
app.add_typer(report, name="report")
app.add_typer(webhooks, name="webhooks")
app.add_typer(orgs, name="orgs")
app.add_typer(tokens, name="tokens")
app.add_typer(erase, name="erase")
app.command()(export_user)
app.add_typer(audit, name="audit")
app.add_typer(retention, name="retention")
app.add_typer(members, name="members")
app.add_typer(keys, name="keys")
for command in (
    backfill,
    sync,
    averages,
    status,
    query,
    export,
    rebuild,
    maintain,
    ui,
    dashboard,
    serve,
    simulate,
):
    app.command()(command)


# Half of a short command's time would go into looking for garbage among modules that stay.
OBJECTS_PER_COLLECTION = 50_000


# Polars' allocator would keep what is free; a hundred MiB in a process that pulls.
_ALLOCATOR = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")


def main() -> None:
    """Run one command and exit with its code."""
    write_privately()
    os.environ.setdefault(*_ALLOCATOR)
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    code = run(app, sys.argv[1:])
    gc.freeze()
    sys.exit(code)
