"""Known weaknesses of the locked dependencies, as pip-audit finds them.

`python -m supply.advisories PIP_AUDIT LOCK` fails with 1 when there is one, and with 2 when the advisory
service cannot be asked: then pip-audit skips packages, and by itself would call that a success.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

NONE, FOUND, UNKNOWN = 0, 1, 2
_OPTIONS: Final = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")


def verdict(answer: str) -> tuple[int, str]:
    """What pip-audit's JSON means: an exit code, and a sentence or more."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return UNKNOWN, "The advisory service cannot be reached from here: nothing was checked."
    weak = [f"{p['name']} {p['version']}: {v['id']}" for p in packages for v in p.get("vulns", ())]
    skipped = sum("skip_reason" in package for package in packages)
    if weak:
        return FOUND, "\n".join(weak)
    if skipped:
        return UNKNOWN, (
            f"The advisory service knows nothing of {skipped} of {len(packages)} packages, or cannot be "
            "reached from here: they were not checked."
        )
    return NONE, f"No weakness is known of {len(packages)} packages."


def main(program: str, lock: str) -> int:
    """Ask about a lock file, and say what came out."""
    # pip-audit ends with 1 when it found something or could not ask; its answer tells which.
    asked = subprocess.run(  # noqa: S603 -- the program that the Makefile installs
        [program, "--requirement", lock, *_OPTIONS], capture_output=True, text=True, check=False
    )
    code, said = verdict(asked.stdout)
    print(said, file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
