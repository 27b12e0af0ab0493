"""Kernels or bodies: verified on the golden batch, then raced on this device. A right answer never needs kernels."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fovea.contract.errors import ExecutionFailed, FoveaError, ModelBroken
from fovea.contract.model_card import ModelCard
from fovea.runtime.golden import Golden, check_golden, run_golden
from fovea.runtime.session import ModelSession

_RACE_RUNS = 5
_RACE_S = 0.03
"""Quick models run more often than `_RACE_RUNS`, this long in all, so that a disturbed run or two do not decide."""
_RACE_MARGIN = 1.05
"""Kernels must be this much slower before they lose: less is noise."""

Open = Callable[[Path | None], ModelSession]


@dataclass(frozen=True)
class Choice:
    """The session to serve from, and why it runs what it runs."""

    session: ModelSession
    kernels: Literal["fused", "body", "none"]
    reason: str = ""

    @property
    def fused(self) -> bool:
        """Whether the kernel library is in use."""
        return self.kernels == "fused"


def choose_kernels(
    open_with: Open, library: Path | None, golden: Golden | None, card: ModelCard, clock: Callable[[], float] | None
) -> Choice:
    """Open a model with kernels where they are right and (with a clock) no slower; else from its bodies.

    ModelBroken where the bodies do not give the golden answers either.
    """
    if card.operator_version is None:
        return Choice(_checked(open_with(None), golden, card), "none")
    if library is None:
        return Choice(_checked(open_with(None), golden, card), "body", "no kernel library was found")
    if golden is None:
        return Choice(open_with(None), "body", "no golden batch to verify kernels with")
    fused = _try_kernels(open_with, library, golden, card)
    if isinstance(fused, str):
        return Choice(_checked(open_with(None), golden, card), "body", fused)
    if clock is None:
        return Choice(fused, "fused")
    bodies = _checked(open_with(None), golden, card)
    reason = race(fused, bodies, golden, clock)
    return Choice(fused, "fused") if reason is None else Choice(bodies, "body", reason)


def _checked(session: ModelSession, golden: Golden | None, card: ModelCard) -> ModelSession:
    problems = check_golden(session, golden, card.tolerances) if golden else []
    if problems:
        raise ModelBroken(f"not the golden answers: {'; '.join(problems)}")
    return session


def _try_kernels(open_with: Open, library: Path, golden: Golden, card: ModelCard) -> ModelSession | str:
    """A session that gives the golden answers with kernels, or why there is none."""
    try:
        session = _checked(open_with(library), golden, card)
    except FoveaError as error:
        return f"with kernels: {error}"
    return session if session.fused_operators else f"{library.name} has no kernel for this model's operators"


def race(fused: ModelSession, bodies: ModelSession, golden: Golden, clock: Callable[[], float]) -> str | None:
    """Why bodies win on the golden batch, in one line; None where kernels run as quickly. Runs alternate."""
    times: tuple[list[float], list[float]] = ([], [])
    end = clock() + _RACE_S
    while len(times[0]) < _RACE_RUNS or clock() < end:
        for session, taken in zip((fused, bodies), times, strict=True):
            start = clock()
            try:
                run_golden(session, golden)
            except ExecutionFailed as error:
                if session is bodies:
                    raise
                return f"with kernels: {error}"
            taken.append(clock() - start)
    kernels_s, bodies_s = (statistics.median(taken) for taken in times)
    if kernels_s <= bodies_s * _RACE_MARGIN:
        return None
    return f"kernels took {kernels_s * 1e3:.3g} ms for the golden batch, bodies {bodies_s * 1e3:.3g} ms"
