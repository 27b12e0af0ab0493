"""The fuzz: what fails can be sent again, and no RPC is left out."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.torture.fuzz_http import fuzzed_request
from tests.torture.fuzzed import fuzzed

from fovea import wire

ROOT = Path(__file__).parents[2]
CALLS = 1000
SEED = 7
DIGEST = f"from tests.torture.test_fuzzed import digest; print(digest({SEED}))"


def digest(seed: int) -> str:
    """Of the first calls."""
    calls = [(fuzzed(seed, number), fuzzed_request(seed, number)) for number in range(CALLS)]
    return hashlib.sha256(repr(calls).encode()).hexdigest()


def test_another_process_makes_the_same_messages() -> None:
    other = subprocess.run([sys.executable, "-c", DIGEST], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(SEED)
    assert digest(SEED + 1) != digest(SEED)


def test_every_rpc_is_fuzzed() -> None:
    assert {fuzzed(SEED, number).rpc for number in range(5 * CALLS)} == set(wire.METHODS)
