"""The parts of the documentation that derive from the code: settings and tables.

`python -m asleep_pipeline.reference FILE...` writes them between their markers anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from asleep_pipeline.lake.columns import Table
from asleep_pipeline.settings import settings_table
from asleep_pipeline.warehouse.marts.tables import MARTS, PARAMETERS
from asleep_pipeline.warehouse.publish import LOAD_INFO, PUBLISHED
from asleep_pipeline.warehouse.views.tables import VIEWS
from asleep_pipeline.webhooks.live_table import LIVE_SESSIONS


def with_reference(text: str) -> str:
    """The text with every generated part that it has a place for brought up to date."""
    for name, part in _parts().items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin in text:
            head, _, rest = text.partition(begin)
            text = f"{head}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
    return text


def _parts() -> dict[str, str]:
    return {
        "settings": settings_table(),
        "lake tables": _tables((*PUBLISHED, LOAD_INFO)),
        "marts": _tables((*MARTS, PARAMETERS)),
        "views": _tables(VIEWS),
        "live": _tables((LIVE_SESSIONS,)),
    }


def _tables(tables: Iterable[Table]) -> str:
    """Every table with its columns and units, as Markdown to unfold."""
    return "\n\n".join(map(_table, tables))


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
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(with_reference(file.read_text(encoding="utf-8")), encoding="utf-8")
