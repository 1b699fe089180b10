"""The search finds an id in whatever notation and file, and nothing where there is nothing."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asleep_pipeline.errors import ErasureError
from asleep_pipeline.privacy import scan as module
from asleep_pipeline.privacy.scan import findings, scan
from asleep_pipeline.privacy.traces import Traces, notations

WHO = 'G-20260222214426-gpFs/Cj"Cte'
SESSION = "20260301230000_abcde"
TRACES = Traces(WHO, (SESSION,))


def plain(path: Path, text: str) -> None:
    """Between other bytes."""
    path.write_bytes(bytes(range(256)) + text.encode() + b"\x00\xff")


def parquet(path: Path, text: str) -> None:
    """In a list of a struct, compressed."""
    rows = [{"inner": [{"id": text * 3}]}] * 5
    pl.DataFrame({"a": [1] * 5, "nested": rows}).write_parquet(path, compression="zstd")


def duck(path: Path, text: str) -> None:
    """In a column whose texts share their words."""
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE t AS SELECT i, [$1] AS ids FROM range(5000) AS r(i)", [text])


def lite(path: Path, text: str) -> None:
    """Over the border of a page, so that the bytes do not follow each other."""
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("CREATE TABLE t (body)")
        con.executemany(
            "INSERT INTO t VALUES (?)",
            [[b"x" * n + text.encode() + b"y" * 9_000] for n in range(4_000, 4_100)],
        )


def zipped(path: Path, text: str) -> None:
    """With gzip."""
    path.write_bytes(gzip.compress(b"." * 9_000_000 + text.encode()))


def zstd(path: Path, text: str) -> None:
    """With zstd."""
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "zstd") as out:
        out.write(text.encode())


@pytest.mark.parametrize("write", [plain, parquet, duck, lite, zipped, zstd])
@pytest.mark.parametrize("text", [WHO, SESSION])
def test_every_kind_of_file_is_looked_into(
    tmp_path: Path, write: Callable[[Path, str], None], text: str
) -> None:
    """Whatever it is compressed with; the same without the id is clean."""
    write(tmp_path / "clean", "G-nobody")
    write(tmp_path / "file", text)
    assert {found.file for found in findings(tmp_path, TRACES, ())} == {"file"}


def test_names_of_files_are_looked_at_and_not_told(tmp_path: Path) -> None:
    """What is found is told without the id."""
    (tmp_path / f"of-{SESSION}").mkdir()
    (tmp_path / f"of-{SESSION}" / "a.txt").touch()
    (found,) = findings(tmp_path, TRACES, ())
    assert (found.file, found.part) == ("of-.../a.txt", "name")


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize(
    "written",
    [
        str.encode,
        lambda text: json.dumps(text).encode(),
        lambda text: quote(text, safe="").encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.replace('"', "&quot;").encode(),
    ],
    ids=["plain", "JSON", "URL", "UTF-16, little", "UTF-16, big", "HTML"],
)
def test_every_notation_is_known(written: Callable[[str], bytes], before: int) -> None:
    """As programs write ids, at any place."""
    data = b"." * before + written(WHO) + b"."
    assert TRACES.are_in(data)
    assert TRACES.are_in(base64.b64encode(data)) == (written is str.encode)
    assert not TRACES.are_in(TRACES.without(data, b"gone"))


@given(
    st.binary(max_size=40),
    st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=9),
    st.binary(max_size=9),
)
def test_base64_is_found_at_any_place(before: bytes, user_id: str, after: bytes) -> None:
    """Of an id that is long enough."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert Traces(user_id).are_in(encode(before + user_id.encode() + after))


def test_a_longer_id_of_somebody_else_is_no_trace() -> None:
    """Where it stands, nothing is said of the person; beside it, it is."""
    traces = Traces("user-1", others=("user-10", "a-user-1"))
    assert not traces.are_in(b"user-10,a-user-1,user-10")
    assert traces.are_in(b"user-10,user-1,user-10")
    assert traces.are_in(b"user-11")
    assert traces.without(b"user-10 user-1", b"-") == b"user-10 -"


def test_what_lies_over_the_border_of_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read some MiB at a time."""
    monkeypatch.setattr(module, "_PIECE", 50)
    for before in range(60):
        (tmp_path / "file").write_bytes(b"." * before + WHO.encode())
        assert [found.part for found in findings(tmp_path, TRACES, ())] == ["bytes"]


def test_deleted_rows_of_databases_are_found(tmp_path: Path) -> None:
    """In pages that nothing points to."""
    with duckdb.connect(str(tmp_path / "duck")) as con:
        # Compressed texts would be hidden in what is left as well.
        con.execute("SET force_compression = 'uncompressed'")
        con.execute("CREATE TABLE t AS SELECT i, 'G-' || i AS id FROM range(5000) AS r(i)")
        con.execute("UPDATE t SET id = $1 WHERE i = 700", [WHO])
        con.execute("CHECKPOINT")
        con.execute("DELETE FROM t WHERE i = 700")
        con.execute("CHECKPOINT")
    with closing(sqlite3.connect(tmp_path / "lite")) as light, light:
        light.execute("PRAGMA secure_delete = OFF")
        light.execute("CREATE TABLE t (body)")
        light.executemany("INSERT INTO t VALUES (?)", [["somebody else"], [WHO]])
        light.execute("DELETE FROM t WHERE body = ?", [WHO])
    found = {(each.file, each.part) for each in scan(tmp_path, TRACES)}
    assert found == {("duck", "bytes"), ("lite", "bytes")}


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is damaged may hold anything."""
    (tmp_path / "damaged").write_bytes(b"PAR1 and no more")
    assert [(each.file, each.part) for each in scan(tmp_path, TRACES)] == [
        ("damaged", "unreadable")
    ]


def test_what_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    """Files and folders."""
    (tmp_path / "folder").mkdir()
    for file in ("folder/a", "b", "c"):
        plain(tmp_path / file, WHO)
    found = scan(tmp_path, TRACES, except_for=[tmp_path / "folder", tmp_path / "b"])
    assert [each.file for each in found] == ["c"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Nothing was searched, and nothing is said of the id."""
    with pytest.raises(ErasureError, match="could not be searched: FileNotFoundError") as caught:
        scan(tmp_path / "nowhere", TRACES)
    assert not any(form.decode("latin-1") in str(caught.value) for form in notations(WHO))
