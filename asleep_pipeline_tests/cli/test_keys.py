"""`keys` at a terminal: from the first master key to a person who is erased."""

from __future__ import annotations

import duckdb
import pytest

from asleep_pipeline_tests.cli.desk import Desk
from asleep_pipeline_tests.privacy.crowded import files_with


def test_what_was_loaded_is_encrypted_and_goes_on_as_before(own: Desk) -> None:
    """Commands read it with the keys, nothing else does; a new master key changes nothing."""
    counted = ("query", "--json", "SELECT count(*) AS n, sum(time_in_sleep) AS s FROM sessions")
    before = own(*counted).data
    assert (own("keys", "status").code, own("keys", "encrypt").code) == (3, 3)
    made = own("keys", "create", "master", "--json").data
    file = made["file"]
    done = own("keys", "encrypt", "--json", encryption_key_file=file).data
    assert done["raw"] > 0 < done["sessions"]
    assert own(*counted, encryption_key_file=file).data == before
    with pytest.raises(duckdb.Error, match="without a key"):
        duckdb.connect(str(own.data_dir / "asleep.duckdb"), read_only=True)
    shown = own("keys", "warehouse", "--show-key", "--json", encryption_key_file=file).data
    with duckdb.connect() as con:
        con.execute(shown["sql"])
        assert con.execute(counted[-1]).fetchone() == tuple(before[0].values())
    rotated = own("keys", "rotate", "--json", encryption_key_file=file).data
    assert rotated["newest"] != made["newest"]
    assert own(*counted, encryption_key_file=file).data == before
    assert own("sync").code == 3


def test_a_person_is_forgotten_by_key_or_erased(own: Desk) -> None:
    """Both are noted in the audit log, which names nobody."""
    first, second, third = (row["user_id"] for row in own("users", "list", "--json").data)
    file = own("keys", "create", "master", "--json").data["file"]
    assert own("keys", "encrypt", encryption_key_file=file).code == 0
    users = ("query", "--json", "SELECT DISTINCT user_id FROM sessions")
    assert own("keys", "forget", first, "--json", encryption_key_file=file).data["forgotten"]
    left = {row["user_id"] for row in own(*users, encryption_key_file=file).data}
    assert left == {second, third}
    done = own("erase", "user", second, "--yes", "--json", encryption_key_file=file).data
    assert (done["state"], done["problem"]) == ("done", "")
    assert files_with(own.data_dir, second) == []
    assert [row["user_id"] for row in own(*users, encryption_key_file=file).data] == [third]
    noted = own("audit", "show", "--json", encryption_key_file=file).data
    assert {"keys forget", "erase user"} <= {entry["details"].get("what") for entry in noted}
