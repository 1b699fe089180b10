"""Which file of master keys belongs to which data folder, in this process.

What opens a file of a data folder finds the keys by the folder. Were they handed from call to call, the one
call that forgot them would read or write what is not encrypted.
"""

from __future__ import annotations

from pathlib import Path

_by_data_dir: dict[Path, Path] = {}


def use_key_file(data_dir: Path, file: Path | None) -> None:
    """Say which master keys belong to a data folder; None when it is not encrypted."""
    if file is None:
        _by_data_dir.pop(data_dir, None)
    else:
        _by_data_dir[data_dir] = file


def key_file_of(data_dir: Path) -> Path | None:
    """The file of master keys of a data folder; None when it is not encrypted."""
    return _by_data_dir.get(data_dir)
