"""The child of `fovea.runtime.probe`: runs a version as the server would, where a crash or a loop hurts nobody."""

from __future__ import annotations

import json
import os
import queue
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fovea.contract.errors import FoveaError
from fovea.contract.model_card import MODEL_FILE
from fovea.runtime.ort_errors import is_out_of_memory, short_reason
from fovea.runtime.printable import printable
from fovea.runtime.trial_plain import try_plain
from fovea.runtime.trial_question import Trial, Tried
from fovea.runtime.trial_version import VersionTrial

_IDLE_S = 30.0
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_FREE_THREADS, _THREAD_BYTES = 2, 72 << 20
"""Each thread but these adds its stack, and an arena of the C library, to the address space that a trial may use."""
_TRIED = "while it is tried (trial_memory_mb sets how much)"


def main() -> None:
    """Answer trials until stdin closes, or nothing comes for a while."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints is no answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # several are tried at once: where memory runs out, Linux ends one of them and no server
        _OOM_SCORE.write_text("1000")
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_IDLE_S)
        except queue.Empty:
            os._exit(0)
        for verdict in _verdicts(Trial(**json.loads(line))):
            print(json.dumps(verdict), file=answers, flush=True)


def _read(lines: queue.Queue[bytes]) -> None:
    """Ends the process, busy or not, when whoever started it is gone."""
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


def _verdicts(trial: Trial) -> Iterator[dict[str, Any]]:
    """On the bodies, then on the kernels where there are some to try: each is told before the next is begun."""
    version = VersionTrial(trial)
    verdict = _verdict(trial, lambda: _facts(version.bodies() if trial.card else try_plain(trial)))
    more = verdict["problem"] is None and version.has_more
    yield verdict | {"more": more}
    if more:
        yield _verdict(trial, lambda: _facts(version.kernels()))


def _facts(tried: Tried) -> dict[str, Any]:
    return {"tried": tried.to_json()}


def _verdict(trial: Trial, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        _limit(trial)
        return {"problem": None, **run()}
    except MemoryError:
        return {"problem": f"{MODEL_FILE}: it needs more memory than a model may use {_TRIED}"}
    except FoveaError as error:
        return {"problem": printable(str(error)) + _hint(error)}
    except Exception as error:
        return {"problem": printable(f"{MODEL_FILE}: {short_reason(error)}") + _hint(error)}
    finally:
        _soft_limit(resource.RLIMIT_AS, None)


def _hint(error: Exception) -> str:
    return f": too little memory {_TRIED}" if is_out_of_memory(error) else ""


def _limit(trial: Trial) -> None:
    """The processor time ends a loop even where there is nobody left to end this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = max(trial.threads, _FREE_THREADS) * trial.seconds
    _soft_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + seconds + 1)
    _soft_limit(resource.RLIMIT_AS, trial.memory_bytes + max(0, trial.threads - _FREE_THREADS) * _THREAD_BYTES)


def _soft_limit(what: int, most: int | None) -> None:
    hard = resource.getrlimit(what)[1]
    soft = hard if most is None or (hard != resource.RLIM_INFINITY and most > hard) else most
    resource.setrlimit(what, (soft, hard))


if __name__ == "__main__":
    main()
