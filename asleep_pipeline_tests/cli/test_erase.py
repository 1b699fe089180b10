"""`erase` and `export-user` at a terminal."""

from __future__ import annotations

import json

from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.privacy.crowded import files_with


def test_a_person_is_exported_and_erased_and_stays_away(own: Desk) -> None:
    """From the export to the receipt; adding the user again is refused with a reason."""
    who, other, _ = (row["user_id"] for row in own("users", "list", "--json").data)
    out = own.folder / "export"
    assert own("export-user", who, str(out), "--json").data["files"] >= 4
    assert json.loads((out / "person.json").read_bytes())["user_id"] == who
    assert own("audit", "show", "--user", who, "--json").data[0]["action"] == "export"
    assert own("export-user", who, str(out)).code == 2
    done = own("erase", "user", who, "--yes", "--json").data
    assert (done["state"], done["problem"]) == ("done", "")
    assert files_with(own.data_dir, who) == []
    assert own("erase", "list", "--json").data == [done]
    receipt = own.data_dir / "erasures" / f"{done['id']}.json"
    assert own("erase", "verify", str(receipt), "--json").data["erasure"] == done["id"]
    again = own("erase", "user", who, "--yes")
    assert (again.code, "was erased already" in again.err) == (2, True)
    added = own("users", "add", who)
    assert (added.code, "was erased, and stays away" in added.err) == (2, True)
    imported = own("users", "import", "roster.csv", "--json")
    assert (imported.data["added"], imported.data["updated"]) == (0, 2)
    assert "Left out: 1" in imported.err
    assert own("erase", "resume", "--json").data == []
    assert next(row["user_id"] for row in own("users", "list", "--json").data) == other


def test_a_forged_receipt_is_refused(own: Desk) -> None:
    """And so is a file that is none."""
    file = own.folder / "receipt.json"
    file.write_text("{}", encoding="utf-8")
    said = own("erase", "verify", str(file))
    assert (said.code, "cannot be read" in said.err) == (1, True)


def test_nobody_is_erased_by_a_mistyped_id(own: Desk) -> None:
    """Nor exported: nothing is stored of them."""
    for command in (["erase", "user", "nobody", "--yes"], ["export-user", "nobody", "of-nobody"]):
        said = own(*command)
        assert (said.code, "Nothing is stored" in said.err) == (2, True)
    assert own("erase", "list", "--json").data == []
    assert not (own.folder / "of-nobody").exists()
