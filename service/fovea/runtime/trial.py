"""The child of `fovea.runtime.probe`: runs a version as the server would, where a crash or a loop hurts nobody."""

from __future__ import annotations

import json
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fovea.contract.attention import AttentionType
from fovea.contract.errors import ExecutionFailed, FoveaError, ModelBroken
from fovea.contract.model_card import MAPS_FILE, MODEL_FILE, ModelCard
from fovea.runtime.attention_seen import Seen, attention_seen
from fovea.runtime.datatypes import Arrays
from fovea.runtime.device import CPU
from fovea.runtime.golden import Golden, golden_of, run_golden
from fovea.runtime.graph_doubts import doubtful_operator, unexplained_axis
from fovea.runtime.opening import open_model
from fovea.runtime.ort_errors import is_out_of_memory, short_reason
from fovea.runtime.ort_session import SessionSettings, open_session, specs
from fovea.runtime.probe import Trial
from fovea.runtime.reasons import tellable
from fovea.runtime.row_mixing import check_rows
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.sample_rows import made_up_row, repeated, warm_up_rows
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.warm_up import batch_sizes

_IDLE_S = 30.0
_LONG_BATCH_S = 1.0
"""Longer than warm-up allows itself: what warm-up will run on a quicker device should have been tried."""
_UNLABELLED = (AttentionType.NONE, AttentionType.UNKNOWN)
"""What a card says where nobody has said what attention the model has."""
_KERNEL_THREADS = 2
"""Kernels share their work out in other ways than alone; each further thread only takes address space."""

_TRIED = "while it is tried (trial_memory_mb sets how much)"


def main() -> None:
    """Answer trials until stdin closes, or nothing comes for a while."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints is no answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
    verdict = _verdict(trial, _try_bodies)
    yield verdict
    if verdict.get("kernels_next"):
        yield _verdict(trial, _try_kernels)


def _verdict(trial: Trial, run: Callable[[Trial], dict[str, Any]]) -> dict[str, Any]:
    try:
        _limit(_KERNEL_THREADS * trial.seconds, trial.memory_bytes)
        return {"problem": None, **run(trial)}
    except MemoryError:
        return {"problem": f"{MODEL_FILE}: it needs more memory than a model may use {_TRIED}"}
    except FoveaError as error:
        return {"problem": tellable(str(error)) + _hint(error)}
    except Exception as error:
        return {"problem": tellable(f"{MODEL_FILE}: {short_reason(error)}") + _hint(error)}
    finally:
        _soft_limit(resource.RLIMIT_AS, None)


def _hint(error: Exception) -> str:
    return f": too little memory {_TRIED}" if is_out_of_memory(error) else ""


def _limit(seconds: int, memory_bytes: int) -> None:
    """Of this trial. The processor time ends a loop even where there is nobody left to end this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft_limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + seconds + 1)
    _soft_limit(resource.RLIMIT_AS, memory_bytes)


def _soft_limit(what: int, most: int | None) -> None:
    hard = resource.getrlimit(what)[1]
    soft = hard if most is None or (hard != resource.RLIM_INFINITY and most > hard) else most
    resource.setrlimit(what, (soft, hard))


def _try_bodies(trial: Trial) -> dict[str, Any]:
    folder = Path(trial.folder)
    if trial.card is None:
        batched = _try_plain(folder / MODEL_FILE, trial)
        return {"batched": batched, "kernels_next": False, "seen": attention_seen(folder / MODEL_FILE).to_json()}
    card = ModelCard.model_validate_json(trial.card)
    golden = golden_of(folder, card)
    _try_files(folder, card, golden, trial.rows, _settings(trial))
    kernels_next = trial.library is not None and card.operator_version is not None and golden is not None
    seen = attention_seen(folder / MODEL_FILE) if card.attention in _UNLABELLED else Seen()
    return {"batched": card.batched, "kernels_next": kernels_next, "seen": seen.to_json()}


def _try_kernels(trial: Trial) -> dict[str, Any]:
    assert trial.card is not None
    assert trial.library is not None
    folder, card = Path(trial.folder), ModelCard.model_validate_json(trial.card)
    settings = replace(_settings(trial), kernel_library=Path(trial.library), intra_op_threads=_KERNEL_THREADS)
    _try_files(folder, card, golden_of(folder, card), trial.rows, settings)
    return {}


def _settings(trial: Trial) -> SessionSettings:
    return SessionSettings(custom_op_libraries=tuple(map(Path, trial.custom_op_libraries)), arena=trial.arena)


def _try_plain(model: Path, trial: Trial) -> bool:
    session = open_session(model, replace(_settings(trial), record_nodes=True))
    found = Signature(*specs(session))
    alone, row = ModelSession(session, found, CPU), made_up_row(found.inputs)
    open_rows = all(spec.shape[:1] == (-1,) for spec in found.tensors)
    doubtful = unexplained_axis(session) or doubtful_operator(session)
    if open_rows and not doubtful and check_rows(alone, RowSamples(found.inputs)).apart:
        _run_sizes(ModelSession(session, replace(found, batched=True, max_batch_rows=trial.rows), CPU), row)
        return True
    try:
        alone.infer(row)
    except ExecutionFailed as error:
        _require_memory(error)
        if all(-1 not in spec.shape[1:] for spec in found.inputs):
            raise ModelBroken(f"{model.name}: {error}") from error
    return False


def _try_files(folder: Path, card: ModelCard, golden: Golden | None, rows: int, settings: SessionSettings) -> None:
    """Everything that the server will run of it. What is merely wrong is the server's to tell, in its own words."""
    files = {MODEL_FILE: card.outputs, MAPS_FILE: (*card.outputs, *card.maps.values())}
    for name, outputs in files.items():
        if name in card.sha256:
            signature = Signature.of(card, outputs, rows)
            _try_file(folder / name, signature, settings, card, golden)


def _try_file(
    model: Path, signature: Signature, settings: SessionSettings, card: ModelCard, golden: Golden | None
) -> None:
    try:
        session = open_model(model, signature, settings)
        if golden is not None:
            run_golden(session, golden)
        *_, longest = warm_up_rows(card, golden).values()
        _run_sizes(session, longest)
    except FoveaError as error:
        _require_memory(error)


def _run_sizes(session: ModelSession, row: Arrays) -> None:
    """The batch sizes of the warm-up; an output that grows with their square is met here."""
    for rows in batch_sizes(session.max_batch_rows):
        start_s = time.monotonic()
        try:
            session.infer(repeated(row, rows) if session.batched else row)
        except ExecutionFailed as error:
            _require_memory(error)
            return
        if time.monotonic() - start_s > _LONG_BATCH_S:
            return


def _require_memory(error: FoveaError) -> None:
    """MemoryError where the failure was for want of memory."""
    if is_out_of_memory(error):
        raise MemoryError from error


if __name__ == "__main__":
    main()
