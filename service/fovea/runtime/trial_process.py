"""A running `fovea.runtime.trial_child`, asked and answering line by line; and those that wait for a question."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

_LEAST_S = 0.01
"""Less is not worth another look."""


class Ended(Exception):
    """The process ended in place of answering."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class TrialProcess:
    """Started when made. It ends when its stdin closes (so never outlives this process), or when nothing came for long.

    `answer` raises TimeoutError after its patience and `Ended` where the process is gone.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fovea.runtime.trial_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the server's to answer
        )
        self._unread = b""

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def ask(self, question: bytes) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Ended(self._process.wait()) from None

    def answer(self, patience_s: float) -> dict[str, Any]:
        """The next line of its answer. Time in which it waits for a processor does not count: others have those."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        end_s = time.monotonic() + patience_s - self._waited_s()
        while b"\n" not in self._unread:
            left_s = max(0.0, end_s + self._waited_s() - time.monotonic())
            if not poll.poll(left_s * 1e3):
                if end_s + self._waited_s() - time.monotonic() > _LEAST_S:
                    continue
                raise TimeoutError
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise Ended(self._process.wait())
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _waited_s(self) -> float:
        """How long its main thread, which does the work, has been ready to run and did not; 0 where no system tells."""
        try:
            _, waited_ns, _ = Path(f"/proc/{self._process.pid}/schedstat").read_text().split()
        except (OSError, ValueError):  # ValueError: it has ended
            return 0.0
        return int(waited_ns) / 1e9

    def end(self) -> None:
        """Kill the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:  # what was still to be written has nobody to read it
        pass


class IdleChildren:
    """Children that wait for a trial. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[TrialProcess] = []

    def prepare(self, count: int) -> None:
        """Start so many: each takes a third of a second of processor time before it can try anything."""
        for _ in range(count):
            self.put_back(TrialProcess())

    def take(self) -> TrialProcess | None:
        """One that is idle, if there is one. It may be gone by the time it is asked."""
        with self._lock:
            return self._idle.pop(0) if self._idle else None

    def put_back(self, child: TrialProcess) -> None:
        """Keep one for the next trial, unless it is gone."""
        if child.gone:
            child.end()
            return
        with self._lock:
            self._idle.append(child)

    def end(self) -> None:
        """End them all; the next trial starts another."""
        while (child := self.take()) is not None:
            child.end()


IDLE = IdleChildren()
atexit.register(IDLE.end)
