"""A process that tries versions, asked and answering line by line."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fovea.runtime.trial_process import TrialProcess
from fovea.runtime.trial_question import Trial

PATIENCE_S = 1.2
"""Three times what a child takes to start and to find no file, which is mostly processor time."""
OTHERS = 10
LONG_S = 20.0


@contextmanager
def on_a_busy_core() -> Iterator[None]:
    """What is started meanwhile shares its only core with others who always have work."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    busy = ["sh", "-c", "while :; do :; done"]
    others = [subprocess.Popen(busy, start_new_session=True) for _ in range(OTHERS)]  # sessions get equal shares
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for other in others:
            other.kill()
            other.wait()


def trial(folder: Path) -> Trial:
    facts = {"folder": str(folder), "file": "model.onnx", "named": (), "rows": 1, "card": None, "library": None}
    sizes = {"threads": 1, "custom_op_libraries": (), "seconds": 20, "memory_bytes": 6 << 30}
    return Trial(**facts, **sizes, wish="none", race=False, measure=False, arena=True)  # type: ignore[arg-type]


def test_what_a_trial_waits_for_a_processor_does_not_count(tmp_path: Path) -> None:
    with on_a_busy_core():
        begun_s, child = time.monotonic(), TrialProcess()
        try:
            child.ask(trial(tmp_path).to_line())
            assert "model.onnx" in child.answer(PATIENCE_S)["problem"]
        finally:
            child.end()
        assert time.monotonic() - begun_s > PATIENCE_S, "the core was not busy enough to show anything"


def test_who_does_not_answer_in_time_is_waited_for_no_longer() -> None:
    child = TrialProcess()
    try:
        with pytest.raises(TimeoutError):
            child.answer(0.1)
    finally:
        child.end()


def test_where_memory_runs_out_linux_ends_what_tries_versions_and_no_server(tmp_path: Path) -> None:
    child = TrialProcess()
    try:
        child.ask(trial(tmp_path).to_line())
        child.answer(LONG_S)
        pids = Path("/proc/thread-self/children").read_text().split()
        assert "1000" in [Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in pids]
    finally:
        child.end()
