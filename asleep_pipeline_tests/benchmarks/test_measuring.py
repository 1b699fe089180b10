"""Figures are those of the child process, with all that it starts."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import benchmarks
from benchmarks.costs import measure
from benchmarks.startup import timed
from benchmarks.tables import print_machine, print_table

HOLD_64_MIB = "import time; held = b'x' * 2**26; time.sleep(0.5)"
SPEND_CPU = "import time\nwhile time.process_time() < 0.3: pass"


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-c", *arguments]


@pytest.mark.parametrize("name", sorted(m.name for m in iter_modules(benchmarks.__path__)))
def test_every_module_can_be_imported(name: str) -> None:
    """None of them names what the package has no longer."""
    if name != "__main__":
        import_module(f"benchmarks.{name}")


def test_cpu_and_memory_of_grandchildren_count(tmp_path: Path) -> None:
    """Who starts other processes is not cheaper for it."""
    run = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    assert measure(_python(run, SPEND_CPU), tmp_path).cpu_s >= 0.3
    cost = measure(_python(run, HOLD_64_MIB), tmp_path)
    assert cost.peak_mib >= max(mib for _, mib in cost.memory) > 64


def test_bytes_of_all_files_are_counted(tmp_path: Path) -> None:
    """Nothing that a child leaves is for free."""
    write = "import sys, pathlib; p = pathlib.Path(sys.argv[1], 'a', 'b'); p.parent.mkdir(); "
    cost = measure(_python(write + "p.write_bytes(bytes(1234))", str(tmp_path)), tmp_path)
    assert cost.disk_bytes == 1234


def test_a_child_that_fails_has_no_figures(tmp_path: Path) -> None:
    """A job that was not done is not compared."""
    with pytest.raises(RuntimeError, match="ended with status"):
        measure(_python("raise SystemExit(3)"), tmp_path)


def test_the_work_beside_dagster_is_found() -> None:
    """The functions that are subtracted from a run are still where assets call them."""
    with timed() as calls:
        assert calls == []


def test_tables_are_markdown_and_name_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed can be copied into the documentation."""
    print_machine(("duckdb",))
    print_table(("", "CPU s", "rows"), [("ours", 1.234, 12_345), ("its", 123.4, 0)])
    machine, *table = capsys.readouterr().out.splitlines()
    assert "cores" in machine
    assert "duckdb 1." in machine
    assert table == [
        "",
        "|  | CPU s | rows |",
        "|---|---:|---:|",
        "| ours | 1.23 | 12,345 |",
        "| its | 123 | 0 |",
    ]
