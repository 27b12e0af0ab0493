"""An authority and certificates that it signed, made by OpenSSL's command, for the length of a test."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = 2


@dataclass(frozen=True)
class Certificate:
    """PEM files."""

    cert: Path
    key: Path


def _openssl(*words: object) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def authority(folder: Path) -> Certificate:
    """One that signs others."""
    made = Certificate(folder / "authority.pem", folder / "authority.key")
    _openssl("req", "-x509", *_KEY, "-days", _DAYS, "-subj", "/CN=authority", "-keyout", made.key, "-out", made.cert)
    return made


def signed(by: Certificate, name: str, folder: Path, days: int = _DAYS) -> Certificate:
    """One for a host of this name, which `by` has signed, for so many days."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    of = ("-CA", by.cert, "-CAkey", by.key, "-addext", f"subjectAltName=DNS:{name}")
    _openssl("req", "-x509", *_KEY, "-days", days, *of, "-subj", f"/CN={name}", "-keyout", made.key, "-out", made.cert)
    return made
