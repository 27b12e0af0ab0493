"""A running `fovea.runtime.trial`: questions in, answers out, line by line, with patience."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from typing import IO, Any


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
            [sys.executable, "-P", "-m", "fovea.runtime.trial"],
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

    def ask(self, question: bytes, patience_s: float) -> dict[str, Any]:
        """The first line of its answer to a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Ended(self._process.wait()) from None
        return self.answer(patience_s)

    def answer(self, patience_s: float) -> dict[str, Any]:
        """The next line of its answer."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        end_s = time.monotonic() + patience_s
        while b"\n" not in self._unread:
            if not poll.poll(max(0.0, end_s - time.monotonic()) * 1e3):
                raise TimeoutError
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise Ended(self._process.wait())
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it, whatever it does."""
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
