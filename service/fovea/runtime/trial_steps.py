"""What a trial runs of one session: every size that the server will, and rows that tell how they may share batches."""

from __future__ import annotations

import time
from collections.abc import Collection
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
from fovea.runtime.trial_question import Trial
from fovea.runtime.warm_up import batch_sizes

_LONG_BATCH_S = 1.0
"""Longer than warm-up allows itself: what warm-up will run on a quicker device should have been tried."""
_QUICK_S = 0.25
"""The largest batch of a model that takes so long for it, by its single row, is run without those in between."""
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


def run_sizes(session: ModelSession, row: Arrays) -> None:
    """One row and the largest batch, and the sizes between them where these take long: an output that grows with their
    square is met here. A model that takes long for a size is not run in larger ones: neither will warm-up do that.
    """
    single_s = _seconds(session, row, 1)
    if single_s is None:
        return
    most = session.max_batch_rows
    for rows in batch_sizes(most)[1:] if single_s * most > _QUICK_S else [most]:
        seconds = _seconds(session, row, rows)
        if seconds is None or seconds > _LONG_BATCH_S:
            return


def _seconds(session: ModelSession, row: Arrays, rows: int) -> float | None:
    """What a batch of equal rows takes; None where it cannot be run."""
    start_s = time.monotonic()
    try:
        session.infer(repeated(row, rows) if session.batched else row)
    except ExecutionFailed as error:
        require_memory(error)
        return None
    return time.monotonic() - start_s


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
