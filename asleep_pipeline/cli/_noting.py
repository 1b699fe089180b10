"""What somebody does at the terminal with personal rows, for the audit log."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs, so that --help is quick

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asleep_pipeline.privacy.audit import AuditLog
    from asleep_pipeline.settings import Settings


def note_deed(
    settings: Settings,
    action: str,
    what: str,
    *,
    org_id: str | None = None,
    user_id: str | None = None,
    sql: str | None = None,
    **details: Any,
) -> None:
    """Note what a command is about to show or to change; it goes no further when that fails.

    Args:
        settings: Of the deployment.
        action: One of `asleep_pipeline.privacy.audit.Action`.
        what: The command.
        org_id: The organisation whose rows it concerns; None for several.
        user_id: The user whom it is about; None for several.
        sql: The query, which is noted by a keyed hash.
        **details: More of it, by names of `asleep_pipeline.privacy.audit.DETAILS`.

    Raises:
        AccessError: It cannot be noted.
    """
    from asleep_pipeline.privacy.audit import Action, Deed

    log = audit_log(settings)
    if sql is not None:
        details["sql"] = log.fingerprint(sql)
    deed = Deed(os_user(), Action(action), org_id, user_id, {"what": what} | details)
    log.append(deed, now=datetime.now(UTC))
    log.close()


def audit_log(settings: Settings) -> AuditLog:
    """The log of a deployment."""
    from asleep_pipeline.privacy.audit import AuditLog

    return AuditLog(settings.audit_path, settings.secret_path)


def os_user() -> str:
    """Who is at the terminal, as the operating system knows them; the environment could say anything."""
    try:
        import pwd

        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except (ImportError, KeyError):
        return f"cli:{getpass.getuser()}"
