"""Tries files in a process of their own before this one opens them: one child, for one version after another.

A file may crash ONNX Runtime, loop or eat memory. Here that ends the child, and the server gets a reason. The child,
`python -m fovea.runtime.trial`, takes a `Trial` per line on stdin and answers each with one line of JSON. It ends when
its stdin closes (so never outlives this process) or when nothing came for a while.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import MODEL_FILE

_BYTES_PER_EXTRA_SECOND = 50_000_000
_MEMORY_PER_FILE_BYTE = 3
"""ONNX Runtime reads a file, parses it and packs its weights: a large model may use more than a small one."""


@dataclass(frozen=True)
class ProbeLimits:
    """What a version may use while it is tried."""

    seconds: int = 20
    memory_bytes: int = 6 << 30

    def for_files_of(self, size_bytes: int) -> ProbeLimits:
        """More of both for whole files of this size."""
        seconds = self.seconds + size_bytes // _BYTES_PER_EXTRA_SECOND
        return ProbeLimits(seconds, self.memory_bytes + _MEMORY_PER_FILE_BYTE * size_bytes)


@dataclass(frozen=True)
class Trial:
    """What the child is to try: the version in `folder`, as `card` (JSON) describes it, or as it is without one."""

    folder: str
    rows: int
    """Largest batch."""
    card: str | None
    library: str | None
    """Kernels that the version will be tried with, besides its bodies."""
    seconds: int
    memory_bytes: int


class Prober:
    """The child and how to talk to it. Threads wait for one another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def whether_it_batches(self, trial: Trial) -> bool:
        """Try a version; whether it batches. ModelBroken tells why it cannot be served."""
        with self._lock:
            try:
                verdict = json.loads(self._answer(json.dumps(asdict(trial)).encode() + b"\n", trial.seconds))
            except BaseException:
                self._end_child()
                raise
            if verdict["problem"] is not None:
                self._end_child()  # what a bad file leaves behind must not count against the next one
                raise ModelBroken(verdict["problem"])
            return bool(verdict["batched"])

    def close(self) -> None:
        """End the child, if there is one; the next trial starts another."""
        with self._lock:
            self._end_child()

    def _answer(self, question: bytes, seconds: float) -> bytes:
        for _ in range(2):  # a child that has just gone for want of work ended with status 0
            child = self._running_child()
            answer = _exchange(child, question, seconds)
            if answer is not None:
                return answer
            status = child.wait()
            self._end_child()
            if status != 0:
                break
        raise ModelBroken(f"{MODEL_FILE}: the process that tried it ended with status {status}")

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end_child()
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "fovea.runtime.trial"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the server's to answer
            )
        return self._child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:  # what was still to be written has nobody to read it
        pass


def _exchange(child: subprocess.Popen[bytes], question: bytes, seconds: float) -> bytes | None:
    """The child's line in answer to a line; None where it ended instead. ModelBroken after `seconds`."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(question)
        child.stdin.flush()
    except BrokenPipeError:
        return None
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN)
    end_s = time.monotonic() + seconds
    answer = b""
    while not answer.endswith(b"\n"):
        if not poll.poll(max(0.0, end_s - time.monotonic()) * 1e3):
            raise ModelBroken(f"{MODEL_FILE}: not loaded and run once within {seconds} s")
        part = os.read(child.stdout.fileno(), 1 << 16)
        if not part:
            return None
        answer += part
    return answer


_SHARED = Prober()
atexit.register(_SHARED.close)


def probe_version(folder: Path, rows: int, card: str | None, library: Path | None, limits: ProbeLimits) -> bool:
    """Try a version in this process's child; whether it batches. ModelBroken tells why it cannot be served."""
    kernels = None if library is None else str(library)
    return _SHARED.whether_it_batches(Trial(str(folder), rows, card, kernels, limits.seconds, limits.memory_bytes))
