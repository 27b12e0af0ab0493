"""Trials of versions, side by side in children of this process, each of which takes one version after another.

A file may crash ONNX Runtime, loop or eat memory, and so may a kernel. Here that ends a child, and costs the version
that it befell and no other. A child takes a `Trial` per line on stdin and answers with a line of JSON for the bodies
and, where there are kernels to try, a second one for those: what happens after the first line is the kernels' doing,
and costs the version nothing but its kernels.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from fovea.contract.errors import ModelBroken
from fovea.contract.model_card import MODEL_FILE
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.load_places import place_lent
from fovea.runtime.trial_process import IDLE, Ended, TrialProcess
from fovea.runtime.trial_question import Trial, Tried

_SHORT_S = 2.0
"""What takes longer lends its place meanwhile: a version that hangs delays no other."""
_KERNEL_PATIENCE_S = 10.0
_KERNEL_PATIENCE = 10
"""Kernels that take this many times as long as the bodies hang; a version's whole time is too long to wait for each."""


def run_trial(trial: Trial) -> Tried:
    """Try a version. ModelBroken tells why it cannot be served."""
    begun_s = time.monotonic()
    child, answer = _begun(trial)
    try:
        if answer["problem"] is not None:
            raise ModelBroken(answer["problem"])
        tried = Tried.of_json(answer["tried"])
        if answer["more"]:
            patience_s = max(_KERNEL_PATIENCE_S, _KERNEL_PATIENCE * (time.monotonic() - begun_s))
            tried = _with_kernels(tried, child, min(trial.seconds, patience_s))
    except BaseException:
        child.end()  # what a bad file leaves behind must not count against the next one
        raise
    IDLE.put_back(child)
    return tried


def _begun(trial: Trial) -> tuple[TrialProcess, dict[str, Any]]:
    """A child, and what it says of the bodies."""
    used = IDLE.take()
    try:
        if used is not None:
            try:
                return used, _answer_to(trial, used)
            except Ended:  # for want of work, or by what an earlier version left behind in it
                pass
        child = TrialProcess()
        return child, _answer_to(trial, child)
    except Ended as end:
        raise ModelBroken(f"{MODEL_FILE}: the process that tried it ended with status {end.status}") from end
    except TimeoutError as error:
        raise ModelBroken(
            f"{MODEL_FILE}: not loaded and run once within {trial.seconds} s (trial_s sets how long)"
        ) from error


def _answer_to(trial: Trial, child: TrialProcess) -> dict[str, Any]:
    """The child is ended where it does not come."""
    try:
        child.ask(trial.to_line())
        return _answer(child, trial.seconds)
    except BaseException:
        child.end()
        raise


def _answer(child: TrialProcess, patience_s: float) -> dict[str, Any]:
    try:
        return child.answer(min(patience_s, _SHORT_S))
    except TimeoutError:
        if patience_s <= _SHORT_S:
            raise
    with place_lent():
        return child.answer(patience_s - _SHORT_S)


def _with_kernels(tried: Tried, child: TrialProcess, patience_s: float) -> Tried:
    """What the child says once it has tried kernels, or what became of it. Where they may have spoilt it, it ends."""
    try:
        answer = _answer(child, patience_s)
    except Ended as end:
        trouble = f"the process that tried them ended with status {end.status}"
    except TimeoutError:
        trouble = f"not run once within {patience_s:.0f} s"
    else:
        if answer["problem"] is None:
            return Tried.of_json(answer["tried"])
        trouble = answer["problem"]
    child.end()
    return replace(tried, obstacle=Obstacle(Cause.CRASHED, f"with kernels: {trouble}"))
