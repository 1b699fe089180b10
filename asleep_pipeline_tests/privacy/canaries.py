"""Secrets and people that can be recognised, and a search for them in whatever was written.

A part of the pipeline joins by a function that works in a `Stage` (see `test_canary`): what it prints goes
through `Stage.run` or into `Stage.logs`, what it answers to others into `Stage.answers`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from asleep_pipeline.simulator import RunningSimulator

API_KEY = "canary-api-key-5b7d1c9e"
JWT_SECRET = "canary-jwt-secret-83c1f0a97be24d5b"
SIGNING_SECRET = f"whsec_{b64encode(b'canary-signing-secret-2f8a6e').decode()}"
TIMEOUT_S = 180


@dataclass(frozen=True, slots=True)
class Stage:
    """A deployment whose every secret and user is a canary.

    Attributes:
        folder: Working directory; `data` in it is the data folder.
        sim: The API.
        environment: The settings.
        secrets: Whatever must be nowhere at all; what is made on the way is added.
        numbers: Names for files of logs.
    """

    folder: Path
    sim: RunningSimulator
    environment: dict[str, str]
    secrets: list[bytes]
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """What processes said on stderr, and pages of Dagster."""
        return self.folder / "logs"

    @property
    def answers(self) -> Path:
        """What others were answered than the user's own organisation."""
        return self.folder / "answers"

    @property
    def users(self) -> list[bytes]:
        """The ids of everybody."""
        return [person.user_id.encode() for person in self.sim.world.people]

    @property
    def surroundings(self) -> dict[str, str]:
        """The environment of a process."""
        return os.environ | self.environment

    def run(self, *arguments: str, may_fail: bool = False, **changed: str) -> str:
        """Run a command of ours in a process of its own, at debug level.

        Args:
            *arguments: The command.
            may_fail: Whether any exit code will do.
            **changed: Other environment variables.

        Returns:
            Its stdout, which is the answer to whoever ran it.
        """
        return self.python(
            "-m", "asleep_pipeline.cli", "--verbose", *arguments, may_fail=may_fail, **changed
        )

    def python(self, *arguments: str, may_fail: bool = False, **changed: str) -> str:
        """Run Python in a process of its own, for which everything it makes would be everybody's to read."""
        log = self.log_file()
        with log.open("wb") as stderr:
            said = subprocess.run(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.surroundings | changed,
                stdout=subprocess.PIPE,
                stderr=stderr,
                timeout=TIMEOUT_S,
                umask=0o022,
                check=False,
            )
        assert may_fail or said.returncode == 0, log.read_text()
        return said.stdout.decode()

    def ask(self, *arguments: str) -> None:
        """Run a command that answers by an error; keep what the person at the terminal sees."""
        said = subprocess.run(
            [sys.executable, "-m", "asleep_pipeline.cli", "--verbose", *arguments],
            cwd=self.folder,
            env=self.surroundings,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        folder = self.folder / "terminal"
        folder.mkdir(exist_ok=True)
        (folder / str(next(self.numbers))).write_bytes(said.stdout + said.stderr)

    def log_file(self) -> Path:
        """A file for what a process says on stderr."""
        self.logs.mkdir(exist_ok=True)
        return self.logs / f"{next(self.numbers)}.log"

    def answer(self, content: bytes) -> None:
        """Keep what somebody was answered who may know of none of the users."""
        self.answers.mkdir(exist_ok=True)
        (self.answers / str(next(self.numbers))).write_bytes(content)


def found_in(folder: Path, needles: Sequence[bytes]) -> set[str]:
    """The files below a folder, by their paths in it, that hold one of the needles or have it in their path."""
    found = set()
    for file in folder.rglob("*"):
        name = str(file.relative_to(folder))
        content = file.read_bytes() if file.is_file() else b""
        if any(needle in content or needle in name.encode() for needle in needles):
            found.add(name)
    return found
