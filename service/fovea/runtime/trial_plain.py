"""The trial of a file of which nothing is known: whether it runs at all, and how its rows may share batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fovea.contract.datatypes import DATATYPES, Kind
from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.tensor_spec import TensorSpec
from fovea.runtime.attention_seen import attention_seen
from fovea.runtime.cost import BatchCost
from fovea.runtime.description import describe
from fovea.runtime.device import CPU
from fovea.runtime.files import model_path
from fovea.runtime.ort_session import open_session
from fovea.runtime.row_samples import RowSamples
from fovea.runtime.sample_rows import made_up_row
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature
from fovea.runtime.stopwatch import ProcessorTime
from fovea.runtime.trial_question import UNTRIED, Trial, Tried
from fovea.runtime.trial_steps import (
    doubts,
    require_memory,
    run_sizes,
    run_without,
    seen_apart,
    session_settings,
    shares,
)
from fovea.runtime.warm_up import measure_cost

_COUNTS = (1, 2, 8)
"""Numbers of rows to try, to see whether the model runs at all."""


def try_plain(trial: Trial) -> Tried:
    """What was seen of it; ModelBroken where it cannot be run."""
    model, stopwatch = model_path(Path(trial.folder), trial.file), ProcessorTime()
    session = open_session(model, replace(session_settings(trial), record_nodes=True))
    facts = describe(session, trial.named)
    found = Signature(facts.inputs, facts.outputs)
    whole, row, rows = ModelSession(session, found, CPU), made_up_row(found.inputs), UNTRIED
    served = whole
    if trial.wish != "none" and all(spec.shape[:1] == (-1,) for spec in found.tensors):
        rows = doubts(session, trial.wish) or seen_apart(whole, RowSamples(found.inputs), trial)
        if shares(trial.wish, rows):
            served = ModelSession(session, replace(found, batched=True, max_batch_rows=trial.rows), CPU)
            run_sizes(served, row, stopwatch)
    if served is whole and (problem := _failure(whole, found.inputs)):
        raise ModelBroken(f"{model.name}: made-up rows fail: {problem}")
    run_without(whole, row, facts.optional)
    cost = measure_cost(served, {(): [row]}, stopwatch) if trial.measure else BatchCost()
    return Tried(rows, seen=attention_seen(model), cost=cost if cost.curves else None)


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
            require_memory(error)
            failure = failure or str(error)
        else:
            return ""
    known = all(-1 not in spec.shape[1:] and DATATYPES[spec.datatype].kind is Kind.FLOAT for spec in inputs)
    return failure if known else ""


def _sized(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    return (rows if shape[0] == -1 else shape[0], *shape[1:]) if shape else shape
