"""Our statistics of made-up and of recorded nights are what four libraries said of them."""

from __future__ import annotations

from typing import Any

from asleep_pipeline.warehouse.marts.tables import TRANSITIONS
from asleep_pipeline_tests.sleep.night_facts import NightFacts
from asleep_pipeline_tests.sleep.other_libraries import (
    chosen,
    of_hypnofunk,
    of_luna,
    of_pysleep,
    of_yasa,
    transitions_of_yasa,
)
from asleep_pipeline_tests.sleep.references import (
    made_up_nights,
    needs_recordings,
    night_statistics,
    recorded,
    recordings,
)


def test_made_up_nights(facts: NightFacts) -> None:
    """Edges such as 19 and 20 epochs of REM, one epoch, all wake, all unknown."""
    cases = made_up_nights()
    assert len(cases) == 24
    assert compared(facts, cases) == 69


@needs_recordings
def test_recorded_nights(facts: NightFacts) -> None:
    """55 nights, 31 of them recorded, by each library that can read them."""
    cases = recorded("hypnogram")["cases"]
    assert len(cases) == 55
    assert compared(facts, cases) == 138


def compared(facts: NightFacts, cases: dict[str, dict[str, Any]]) -> int:
    """Compare each case with each library's answer; how many answers there were."""
    rows = facts.of(case["stages"] for case in cases.values())
    answers = [
        (name, row, wanted)
        for (name, case), row in zip(cases.items(), rows, strict=True)
        if max(case["stages"]) > 0
        for wanted in wanted_of(case)
    ]
    for name, row, wanted in answers:
        seen = row | {"all_transitions": sum(row[pair] for pair in TRANSITIONS)}
        assert chosen(seen, wanted) == wanted, name
    return len(answers)


def wanted_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """What each library that has an answer says of a case, in our words."""
    return [
        to_ours(case)
        for to_ours in (_pysleep, _yasa, _luna, _hypnofunk)
        if _has_answer(case, to_ours.__name__.removeprefix("_"))
    ]


def _has_answer(case: dict[str, Any], library: str) -> bool:
    said = case.get(library) or {"error": ""}
    return "error" not in said and (library == "yasa" or -1 not in case["stages"])


def _pysleep(case: dict[str, Any]) -> dict[str, Any]:
    wanted = of_pysleep(case["pysleep"])
    if "end_extra_s" in case:
        # The time in bed of a session is not that of its epochs.
        del wanted["tib_s"]
    return wanted


def _yasa(case: dict[str, Any]) -> dict[str, Any]:
    said = case["yasa"]
    return of_yasa(said["sleep_statistics"]) | transitions_of_yasa(said["transition_counts"])


def _luna(case: dict[str, Any]) -> dict[str, Any]:
    return of_luna(case["luna"]["baseline"])


def _hypnofunk(case: dict[str, Any]) -> dict[str, Any]:
    said = case["hypnofunk"]
    transitions = said["transitions"]["Total_Transitions"]
    return of_hypnofunk(said["hypnoman"]) | {"all_transitions": transitions}


@needs_recordings
def test_every_recording(facts: NightFacts) -> None:
    """267 nights of 220 people: yasa of all of them, pysleep of those without an unknown epoch."""
    nights = dict(recordings().select("session_id", "sleep_stages").iter_rows())
    references = night_statistics()
    rows = facts.of(nights[said["session_id"]] for said in references)
    slept = [(said, row) for said, row in zip(references, rows, strict=True) if row["tst_s"]]
    for said, row in slept:
        for wanted in (of_yasa(_of("yasa", said)), _numbers_of_pysleep(said)):
            assert chosen(row, wanted) == wanted, said["session_id"]
    assert len(references) == 267
    assert len(slept) == 266, "somebody typed one in by hand, without stages"


def _of(library: str, said: dict[str, Any]) -> dict[str, Any]:
    # Not a count of 0 but no column stands for a night without unknown epochs.
    names = [name for name in said if name.startswith(f"{library}_")]
    values = {name.removeprefix(f"{library}_"): said[name] for name in names}
    return {name: value for name, value in values.items() if name != "UNS" or value is not None}


def _numbers_of_pysleep(said: dict[str, Any]) -> dict[str, Any]:
    named = {name.removesuffix("_s"): value for name, value in _of("pysleep", said).items()}
    if named["time_in_bed"] is None:
        return {}
    wanted = of_pysleep(named | {"sleep_time": "2024-01-01", "sleep_cycle_time": []})
    return {name: wanted[name] for name in wanted.keys() - {"onset_at", "cycle_ends"}}
