"""Certificates for this machine, signed by themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from asleep_pipeline.listener import Certificate


def make_certificate(folder: Path) -> Certificate:
    """One that is good for two days; skips the test where there is no openssl."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not installed")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(made.key), "-out", str(made.chain)]
    subprocess.run([*words.split(), *names, *files], check=True, capture_output=True)
    return made
