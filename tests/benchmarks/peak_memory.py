"""The most memory that a run takes at once, beside what was there before."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

_RESET_PEAK = "5"
"""To /proc/self/clear_refs: the peak of resident memory begins anew (Linux, proc_pid_clear_refs(5))."""
_MMAP_THRESHOLD, _LEAST_BYTES = -3, 64 * 1024
"""mallopt(3): what is larger is given back to the system when it is freed. Left alone, glibc soon keeps it."""


def grown_bytes(run: Callable[[], object]) -> int:
    """Resident bytes that `run` took at its peak; 4,096 is the least that can be seen, and other threads count too."""
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LEAST_BYTES)
    run()  # what stays for good is taken by the first run
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _status_bytes("VmRSS")
    run()
    return max(0, _status_bytes("VmHWM") - before)


def _status_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/self/status has no {field}")
    return int(found[1]) * 1024
