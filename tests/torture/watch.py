"""What a server process holds, from outside: memory, descriptors, threads, and its own gauges."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import RunningServer, total
from tests.torture.report import Promise

_SETTLE_S = 30.0
_LOOK_S = 0.1
_PEAK_LOOK_S = 0.02
_FEW_DESCRIPTORS = 16
"""Scrapes and connections that are kept for a while."""
_POOLED_THREADS = 192
"""Six pools of 32 threads fill as they are used and keep what they have; callers come by the thousand."""


@dataclass(frozen=True)
class Census:
    """What a process holds at one moment."""

    resident_mb: float
    descriptors: int
    threads: int


def census(server: RunningServer) -> Census:
    """Of a server, now."""
    folder = Path(f"/proc/{server.process.pid}")
    status = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", (folder / "status").read_text(), re.MULTILINE))
    return Census(int(status["VmRSS"]) / 1024, len(list((folder / "fd").iterdir())), int(status["Threads"]))


def given_back(server: RunningServer, before: Census, memory_mb: float, after_what: str) -> Promise:
    """That a server gets back to what it held before, but for `memory_mb`; waits for it."""

    def is_back() -> bool:
        now = census(server)
        return (
            now.descriptors <= before.descriptors + _FEW_DESCRIPTORS
            and now.threads <= before.threads + _POOLED_THREADS
            and now.resident_mb <= before.resident_mb + memory_mb
        )

    kept = settles(is_back)
    now = census(server)
    found = (
        f"descriptors {before.descriptors} → {now.descriptors}, threads {before.threads} → {now.threads}, "
        f"memory {before.resident_mb:.0f} → {now.resident_mb:.0f} MB"
    )
    return Promise(
        f"after {after_what}, descriptors, threads and memory (within {memory_mb:.0f} MB) are back", found, kept
    )


@dataclass
class PeakMemory:
    """How far resident memory has grown since."""

    grown_mb: float = 0.0


@contextmanager
def peak_memory(server: RunningServer) -> Iterator[PeakMemory]:
    """Looks all the time."""
    peak, over, before_mb = PeakMemory(), threading.Event(), census(server).resident_mb

    def look() -> None:
        while not over.wait(_PEAK_LOOK_S):
            peak.grown_mb = max(peak.grown_mb, census(server).resident_mb - before_mb)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def settles(is_so: Callable[[], bool], within_s: float = _SETTLE_S) -> bool:
    """Whether it becomes so within a time."""
    until_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_S)
    return True


def gauge(server: RunningServer, name: str, **labels: str) -> float:
    """The sum of a metric's series that bear the labels."""
    return total(server.samples(), name, **labels)


def unforeseen(server: RunningServer) -> list[str]:
    """The errors that a server logged and had not foreseen."""
    return [line.strip()[-300:] for line in server.errors if '"traceback"' in line]
