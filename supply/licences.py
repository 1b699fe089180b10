"""Which licences the installed packages have, and whether each is one that the project accepts.

`python -m supply.licences` lists them, and fails when there is one that is not accepted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from typing import Final

ALLOWED: Final = frozenset(
    {
        "0BSD",
        "AFL-2.1",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "LLVM-exception",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        # Of the file, not of the whole: it obliges those who change one of its files.
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)
"""By their SPDX names."""

EXCEPTIONS: Final = {
    "axe-playwright-python": "MIT, by its licence file; axe-core in it is MPL-2.0, for tests",
    "docutils": "public domain and BSD-2-Clause; the GPL is of a file for an editor",
}
"""Packages whose metadata does not tell, and what was read in their files."""

_CALLED: Final = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd (3-clause)": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
_WORDS: Final = re.compile(r"\s+(?:AND|OR|WITH)\s+|[()]+")


def licences_of(package: Distribution) -> list[str]:
    """The licences that a package's metadata names, by their SPDX names where those are known."""
    said = package.metadata.json
    expression, text = str(said.get("license_expression", "")), str(said.get("license", ""))
    classifiers = [c for c in said.get("classifier", ()) if c.startswith("License ::")]
    if expression:
        named: Iterable[str] = _WORDS.split(expression)
    elif classifiers:
        named = [classifier.rpartition(" :: ")[2] for classifier in classifiers]
    else:
        first = text.partition("\n")[0]
        named = [first] if first.lower() in _CALLED else _WORDS.split(first)
    stripped = [name.strip() for name in named]
    return [_CALLED.get(name.lower(), name) for name in stripped if name]


def is_accepted(package: Distribution) -> bool:
    """Whether every licence that is named is allowed, or somebody has read the files."""
    named = licences_of(package)
    return package.name in EXCEPTIONS or (bool(named) and ALLOWED.issuperset(named))


def main() -> int:
    """List every package with its licences; 1 when one is not accepted."""
    packages = sorted(distributions(), key=lambda package: package.name.lower())
    for package in packages:
        told = EXCEPTIONS.get(package.name) or ", ".join(licences_of(package)) or "unknown"
        mark = " " if is_accepted(package) else "!"
        print(f"{mark} {package.name} {package.version}: {told}")  # noqa: T201 -- its answer
    return int(not all(map(is_accepted, packages)))


if __name__ == "__main__":
    sys.exit(main())
