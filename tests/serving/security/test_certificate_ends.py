"""When certificates end, as OpenSSL's command tells it of the same files."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from fovea.serving.security.certificate_ends import first_end

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def certificate(folder: Path, days: int) -> Path:
    """A certificate that ends after so many days."""
    made = folder / f"{days}.pem"
    files = ("-keyout", str(folder / "key.pem"), "-out", str(made))
    subprocess.run(
        ["openssl", "req", "-x509", *_KEY, "-days", str(days), "-subj", "/CN=a host", *files],
        check=True,
        capture_output=True,
    )
    return made


def told_by_openssl(file: Path) -> float:
    told = subprocess.run(
        ["openssl", "x509", "-in", str(file), "-noout", "-enddate"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return datetime.strptime(told + "+0000", "notAfter=%b %d %H:%M:%S %Y GMT%z").timestamp()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("days", [1, 90, 12_000])
def test_an_end_is_what_openssl_tells_also_beyond_2049(tmp_path: Path, days: int) -> None:
    made = certificate(tmp_path, days)
    assert first_end(made.read_bytes()) == told_by_openssl(made)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_of_a_chain_it_is_the_first_end(tmp_path: Path) -> None:
    files = [certificate(tmp_path, days) for days in (90, 2, 12_000)]
    assert first_end(b"".join(file.read_bytes() for file in files)) == told_by_openssl(files[1])
