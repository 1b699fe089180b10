"""An erasure in a process of its own, to be killed: `python -m ... DATA_DIR`, which prints when it begins."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from asleep_pipeline.log import configure_logging
from asleep_pipeline.privacy.erasure import run_erasures
from asleep_pipeline.settings import load_settings

STARTED = "started"

if __name__ == "__main__":
    configure_logging()
    settings = load_settings(data_dir=Path(sys.argv[1]))
    sys.stdout.write(f"{STARTED}\n")
    sys.stdout.flush()
    run_erasures(settings, datetime.now(UTC))
