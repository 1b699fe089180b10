"""The parts of the README that derive from the code: settings and tables.

`python -m asleep_pipeline.reference README.md` writes them between their markers anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from asleep_pipeline.lake.tables import Table
from asleep_pipeline.settings import settings_table
from asleep_pipeline.warehouse.publish import LOAD_INFO, PUBLISHED


def with_reference(text: str) -> str:
    """The text with every generated part brought up to date."""
    for name, part in {"settings": settings_table(), "tables": tables_reference()}.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        head, _, rest = text.partition(begin)
        tail = rest.partition(end)[2]
        text = f"{head}{begin}\n{part}\n{end}{tail}"
    return text


def tables_reference() -> str:
    """Every published table with its columns and units, as Markdown to unfold."""
    return "\n\n".join(_table(table) for table in (*PUBLISHED, LOAD_INFO))


def _table(table: Table) -> str:
    rows = [
        f"| `{c.name}` | {c.type} | {c.unit} | {c.description} |".replace("  ", " ")
        for c in table.published
    ]
    key = f" Key: {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    head = f"<details><summary><b>{table.name}</b>: {len(rows)} columns</summary>"
    return "\n".join(
        [
            head,
            "",
            table.description + key,
            "",
            "| column | type | unit | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "</details>",
        ]
    )


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_reference(readme.read_text(encoding="utf-8")), encoding="utf-8")
