"""What a trial runs of one session: every size that the server will, and rows that tell how they may share batches."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import onnxruntime

from fovea.contract.errors import ExecutionFailed, FoveaError
from fovea.contract.lengths import output_axes
from fovea.contract.model_card import ModelCard
from fovea.runtime.arrays import Arrays
from fovea.runtime.batching_choice import Wanted, Wish, choose_batching
from fovea.runtime.graph_doubts import doubtful_operator, unexplained_axis
from fovea.runtime.ort_errors import is_out_of_memory
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.row_mixing import check_rows
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.row_verdicts import RowVerdict
from fovea.runtime.sample_rows import repeated
from fovea.runtime.session import ModelSession
from fovea.runtime.stopwatch import Stopwatch
from fovea.runtime.trial_question import Trial
from fovea.runtime.warm_up import batch_sizes

_MOST_S = 0.25
"""For one batch, as its rows are seen to take: larger ones are not run while a server waits."""
_FIRST = 2
"""Times that a batch may take beside as many single rows and not have been a session's first run."""
_STEP = 8
"""From one size to the next at most: what takes longer than its rows add up to is seen before it takes minutes."""
NOTHING_RAN: Mapping[int, float] = {}
_ROWS_IN_TIME = 16
"""That a trial has the time for, where rows are looked at: some are run for that, and a busy machine is slower."""


def session_settings(trial: Trial) -> SessionSettings:
    """As the server will open the version, but on the processor and with the bodies."""
    libraries = tuple(map(Path, trial.custom_op_libraries))
    return SessionSettings(intra_op_threads=trial.threads, custom_op_libraries=libraries, arena=trial.arena)


def doubts(session: onnxruntime.InferenceSession, wish: Wish, card: ModelCard | None = None) -> RowVerdict | None:
    """What speaks against batches that nobody asked for, before a row is run."""
    explained = output_axes(card.lengths) if card else ()
    doubt = unexplained_axis(session, explained) if wish in ("said", "unsaid") else ""
    if wish == "unsaid":
        doubt = doubt or doubtful_operator(session)
    return RowVerdict("unknown", doubt) if doubt else None


def seen_apart(whole: ModelSession, samples: RowSamples, trial: Trial) -> RowVerdict:
    """Whether rows keep apart; `whole` takes arrays as they are."""
    return check_rows(whole, samples, trial.rows, trial.seconds / _ROWS_IN_TIME)


def shares(wish: Wish, rows: RowVerdict) -> bool:
    """Whether requests will share batches."""
    return choose_batching(Wanted(wish), rows).batched


def run_sizes(session: ModelSession, row: Arrays, stopwatch: Stopwatch, ran: Mapping[int, float] = NOTHING_RAN) -> None:
    """One row, and larger batches up to the largest that there is time for: one that ends the process, or takes too
    much memory, does so here. `ran`: sizes that have been run already, and what they took; what was a session's first
    run, which takes long, says nothing.
    """
    single = _seconds(session, row, 1, stopwatch)
    taken = {1: single} | {size: took for size, took in ran.items() if single and took <= _FIRST * size * single}
    while (seconds := taken[rows := max(taken)]) is not None:
        most = min(_STEP * rows, _MOST_S * rows / max(seconds, 1e-9))
        fitting = [size for size in batch_sizes(session.max_batch_rows) if rows < size <= most]
        if taken[1] is None or not fitting:
            return
        taken[fitting[-1]] = _seconds(session, row, fitting[-1], stopwatch)


def _seconds(session: ModelSession, row: Arrays, rows: int, stopwatch: Stopwatch) -> float | None:
    """What a batch of equal rows takes, undisturbed; None where it cannot be run."""
    batch = repeated(row, rows) if session.batched else row
    try:
        took = stopwatch(lambda: session.infer(batch))
    except ExecutionFailed as error:
        require_memory(error)
        return None
    return min(took.processor_s, took.elapsed_s)


def run_without(session: ModelSession, row: Arrays, optional: Collection[str]) -> None:
    """What a request may leave out, left out."""
    left = {name: array for name, array in row.items() if name not in optional}
    if not optional or not left:
        return
    try:
        session.infer(left)
    except ExecutionFailed as error:
        require_memory(error)


def require_memory(error: FoveaError) -> None:
    """MemoryError where the failure was for want of memory."""
    if is_out_of_memory(error):
        raise MemoryError from error
