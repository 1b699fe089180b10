"""The sample backend does what its README says, with real servers on this machine."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mobile_backend"
SCRIPT = "\n".join(
    re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
)
ASKED = ("sign-up", "home", "delete-account")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, in which all commands of its README were run; `NAME.json` is what was said."""
    folder = tmp_path_factory.mktemp("example") / "mobile_backend"
    copytree(EXAMPLE, folder)
    # What a failing line leaves running is ended, too.
    script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{on_free_ports(SCRIPT)}"
    for name in ASKED:
        script = script.replace(f"backend.py {name} ada", f"backend.py {name} ada > {name}.json")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", script]
    with (folder / "log").open("wb") as log:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PATH": path},
            stdout=log,
            stderr=log,
            check=False,
        )
    assert done.returncode == 0, (folder / "log").read_text(encoding="utf-8")
    return folder


def on_free_ports(script: str) -> str:
    """The same with ports that nobody listens on."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        simulated, served = (str(each.getsockname()[1]) for each in taken)
    script = script.replace(":8900", f":{simulated}").replace(":8700", f":{served}")
    script = script.replace("simulate ", f"simulate --port {simulated} ")
    return script.replace("serve ", f"serve --port {served} ")


def said(run: Path, name: str) -> dict[str, Any]:
    """What the app was answered."""
    answer: dict[str, Any] = json.loads((run / f"{name}.json").read_text(encoding="utf-8"))
    return answer


def test_who_signs_up_gets_a_user(run: Path) -> None:
    """The app's own id leads to Asleep's."""
    user = said(run, "sign-up")
    assert user["app_user_id"] == "ada"
    assert user["user_id"].startswith("G-20261101200000-")


def test_home_shows_the_last_night_and_the_week(run: Path) -> None:
    """Both are there two weeks after somebody has signed up, and fit each other."""
    home = said(run, "home")
    assert home["last_night"]["night_date"] == "2026-11-14"
    assert home["last_night"]["tst_s"] > 3 * 3600
    assert 4 <= home["week"]["nights"] <= 7
    assert 0 < home["week"]["score"] <= 100


def test_a_deleted_account_leaves_nothing(run: Path) -> None:
    """No file of the deployment holds the user's id any more."""
    user_id = said(run, "sign-up")["user_id"].encode()
    assert said(run, "delete-account")["erasure_id"]
    files = [path for path in (run / "data").rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if user_id in path.read_bytes()] == []


def test_the_readme_is_short() -> None:
    """Whoever wants to try it has read it in a minute."""
    assert len((EXAMPLE / "README.md").read_text(encoding="utf-8").splitlines()) < 30
