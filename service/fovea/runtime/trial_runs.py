"""What a trial runs of a version: everything that the server will, and rows that tell how it may be batched."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnxruntime

from fovea.contract.attention import AttentionType
from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import ExecutionFailed, FoveaError, ModelBroken
from fovea.contract.lengths import output_axes
from fovea.contract.model_card import MAPS_FILE, MODEL_FILE, ModelCard, TensorSpec
from fovea.runtime.arrays import Arrays
from fovea.runtime.attention_seen import attention_seen
from fovea.runtime.batching_choice import Wanted, Wish, choose_batching
from fovea.runtime.description import describe
from fovea.runtime.device import CPU
from fovea.runtime.files import model_path
from fovea.runtime.golden import Golden, golden_of, run_golden, unfit_input
from fovea.runtime.graph_doubts import doubtful_operator, unexplained_axis
from fovea.runtime.kernel_choice import offer_for
from fovea.runtime.kernel_library import Obstacle
from fovea.runtime.opening import open_model
from fovea.runtime.ort_errors import is_out_of_memory
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.padding_check import longest_lengths, padding_harm
from fovea.runtime.probe import Trial, Tried
from fovea.runtime.row_mixing import check_rows
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.row_verdicts import RowVerdict
from fovea.runtime.sample_rows import made_up_row, repeated, warm_up_rows
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.vocabularies import with_vocabularies
from fovea.runtime.warm_up import batch_sizes

_LONG_BATCH_S = 1.0
"""Longer than warm-up allows itself: what warm-up will run on a quicker device should have been tried."""
_ROWS_IN_TIME = 16
"""That a trial has the time for, where rows are looked at: some are run for that, and a busy machine is slower."""
_COUNTS = (1, 2, 8)
"""Of rows, to run a model with at all."""
_UNLABELLED = (AttentionType.NONE, AttentionType.UNKNOWN)
"""What a card says where nobody has said what attention the model has."""
KERNEL_THREADS = 2
"""Kernels share their work out in other ways than alone; each further thread only takes address space."""


_NOTHING = Tried(
    RowVerdict("untried", "it could not be run on this machine's processor to see whether rows are independent")
)


def try_bodies(trial: Trial) -> dict[str, Any]:
    """Run a version from its bodies; what was seen."""
    folder = Path(trial.folder)
    if trial.card is None:
        model = model_path(folder, trial.file)
        tried = replace(_try_plain(model, trial), seen=attention_seen(model))
        return {"tried": asdict(tried), "kernels_next": False}
    card = ModelCard.model_validate_json(trial.card)
    golden = golden_of(folder, card)
    tried = _try_files(folder, card, golden, trial, _settings(trial))
    if card.attention in _UNLABELLED:
        tried = replace(tried, seen=attention_seen(model_path(folder, trial.file)))
    kernels_next = trial.library is not None and card.operator_version is not None and golden is not None
    return {"tried": asdict(tried), "kernels_next": kernels_next}


def try_kernels(trial: Trial) -> dict[str, Any]:
    """Run it with its kernels, where the library has some for it."""
    assert trial.card is not None
    assert trial.library is not None
    folder, card = Path(trial.folder), ModelCard.model_validate_json(trial.card)
    if isinstance(offer_for(card, Path(trial.library), CPU), Obstacle):
        return {}
    settings = replace(_settings(trial), kernel_library=Path(trial.library), intra_op_threads=KERNEL_THREADS)
    _try_files(folder, card, golden_of(folder, card), replace(trial, wish="none"), settings)
    return {}


def _settings(trial: Trial) -> SessionSettings:
    return SessionSettings(custom_op_libraries=tuple(map(Path, trial.custom_op_libraries)), arena=trial.arena)


def _try_plain(model: Path, trial: Trial) -> Tried:
    """A file of which nothing is known."""
    session = open_session(model, replace(_settings(trial), record_nodes=True))
    facts = describe(session, trial.named)
    found = Signature(facts.inputs, facts.outputs)
    whole, row = ModelSession(session, found, CPU), made_up_row(found.inputs)
    if trial.wish != "none" and all(spec.shape[:1] == (-1,) for spec in found.tensors):
        rows = _doubts(session, trial.wish) or _seen_apart(whole, RowSamples(found.inputs), trial)
        if _shares(trial.wish, rows):
            _run_sizes(ModelSession(session, replace(found, batched=True, max_batch_rows=trial.rows), CPU), row)
            _run_without(whole, row, facts.optional)
            return Tried(rows)
    else:
        rows = _NOTHING.rows
    if problem := _failure(whole, found.inputs):
        raise ModelBroken(f"{model.name}: made-up rows fail: {problem}")
    _run_without(whole, row, facts.optional)
    return Tried(rows)


def _failure(whole: ModelSession, inputs: Sequence[TensorSpec]) -> str:
    """Why a model cannot be run whatever the number of its rows; nothing where it can, or where more than that is open.

    Some take rows in pairs or in eights only. Whole numbers and texts may be indices, sizes or categories: a model
    that fails on made-up ones may run on others.
    """
    failure = ""
    for rows in _COUNTS:
        row = made_up_row(spec.model_copy(update={"shape": _sized(spec.shape, rows)}) for spec in inputs)
        try:
            whole.infer(row)
        except ExecutionFailed as error:
            _require_memory(error)
            failure = failure or str(error)
        else:
            return ""
    known = all(-1 not in spec.shape[1:] and DATATYPES[spec.datatype].kind is Kind.FLOAT for spec in inputs)
    return failure if known else ""


def _sized(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    return (rows if shape[0] == -1 else shape[0], *shape[1:]) if shape else shape


def _doubts(session: onnxruntime.InferenceSession, wish: Wish, card: ModelCard | None = None) -> RowVerdict | None:
    """What speaks against batches that nobody asked for, before a row is run."""
    explained = output_axes(card.lengths) if card else ()
    doubt = unexplained_axis(session, explained) if wish in ("said", "unsaid") else ""
    if wish == "unsaid":
        doubt = doubt or doubtful_operator(session)
    return RowVerdict("unknown", doubt) if doubt else None


def _seen_apart(whole: ModelSession, samples: RowSamples, trial: Trial) -> RowVerdict:
    return check_rows(whole, samples, trial.rows, trial.seconds / _ROWS_IN_TIME)


def _shares(wish: Wish, rows: RowVerdict) -> bool:
    return choose_batching(Wanted(wish), rows).batched


def _try_files(folder: Path, card: ModelCard, golden: Golden | None, trial: Trial, settings: SessionSettings) -> Tried:
    """Everything that the server will run of it. What is merely wrong is the server's to tell, in its own words."""
    files = {MAPS_FILE: (*card.outputs, *card.maps.values()), MODEL_FILE: card.outputs}
    seen = _NOTHING
    for name, outputs in files.items():
        if name in card.sha256:
            signature = Signature.of(card, outputs, trial.rows)
            wish: Wish = trial.wish if name == MODEL_FILE and card.batched else "none"
            try:
                model = model_path(folder, trial.file) if name == MODEL_FILE else folder / name
                session = open_model(model, signature, replace(settings, record_nodes=wish == "unsaid"))
                if wish != "none":
                    seen = _see(session, card, golden, trial)
                together = wish == "none" or _shares(wish, seen.rows)
                _run_all(session if together else session.unbatched(), card, golden)
            except FoveaError as error:
                _require_memory(error)
    return seen


def _run_all(session: ModelSession, card: ModelCard, golden: Golden | None) -> None:
    if golden is not None:
        run_golden(session, golden)
    *_, longest = warm_up_rows(card, golden).values()
    _run_sizes(session, longest)
    _run_without(session, longest, card.optional_inputs)


def _see(session: ModelSession, card: ModelCard, golden: Golden | None, trial: Trial) -> Tried:
    """How rows of it may share batches."""
    whole, known = session.unbatched(), golden if golden and not unfit_input(session, golden) else None
    samples = with_vocabularies(whole, RowSamples(card.inputs, card.lengths, known))
    rows = _doubts(session.opened, trial.wish, card) or _seen_apart(whole, samples, trial)
    if not card.lengths or rows.seen == "untried":
        return Tried(rows)
    harm = padding_harm(session, samples) if _shares(trial.wish, rows) else {}
    return Tried(rows, harm, longest_lengths(whole, samples))


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


def _run_without(session: ModelSession, row: Arrays, optional: Collection[str]) -> None:
    """What a request may leave out, left out."""
    left = {name: array for name, array in row.items() if name not in optional}
    if not optional or not left:
        return
    try:
        session.infer(left)
    except ExecutionFailed as error:
        _require_memory(error)


def _require_memory(error: FoveaError) -> None:
    """MemoryError where the failure was for want of memory."""
    if is_out_of_memory(error):
        raise MemoryError from error
