"""Get-session answers that break the contract, for whoever must cope with them."""

from __future__ import annotations

from typing import Any

import msgspec

from asleep_pipeline.simulator.faults import Corruption


def corrupted(body: bytes, kind: Corruption) -> bytes:
    """Return a get-session answer with one thing wrong; one without statistics may stay right."""
    if kind == "not_json":
        return body[:-1]
    answer = msgspec.json.decode(body)
    _break(answer["result"], kind)
    return msgspec.json.encode(answer)


def _break(result: dict[str, Any], kind: Corruption) -> None:
    session, stat = result["session"], result["stat"] or {}
    match kind:
        case "percent":
            stat["sleep_efficiency"] = 88.24
        case "bad_stage":
            session["sleep_stages"] = [*(session["sleep_stages"] or []), 7]
        case "negative":
            stat["time_in_sleep"] = -30
        case "end_before_start":
            session["start_time"], session["end_time"] = session["end_time"], session["start_time"]
        case "text_number":
            stat["time_in_bed"] = "eight hours"
        case _:
            del result["session"]
