"""Kernels or bodies: verified on the golden batch, then raced on this device. A right answer never needs kernels."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fovea.contract.errors import FoveaError, ModelBroken
from fovea.contract.model_card import ModelCard
from fovea.contract.operators import OPERATORS
from fovea.runtime.device import Device
from fovea.runtime.golden import Golden, check_golden
from fovea.runtime.kernel_library import Cause, Obstacle
from fovea.runtime.kernel_registry import kernels_in
from fovea.runtime.race import race
from fovea.runtime.session import ModelSession
from fovea.runtime.stopwatch import Stopwatch

Open = Callable[[Path | None], ModelSession]


@dataclass(frozen=True)
class Choice:
    """The session to serve from. `obstacle` tells why bodies run: all of them, or, where it is fused, some."""

    session: ModelSession
    kernels: Literal["fused", "body", "none"]
    obstacle: Obstacle | None = None

    @property
    def fused(self) -> bool:
        """Whether the kernel library is in use."""
        return self.kernels == "fused"

    @property
    def reason(self) -> str:
        """The obstacle in words; empty where there is none."""
        return self.obstacle.reason if self.obstacle else ""


def offer_for(card: ModelCard, library: Path, device: Device) -> Path | Obstacle:
    """The library, or why it need not be opened for this model: it lists no kernel for the model's operators there."""
    operators = card.operators
    kernels = kernels_in(library)
    if kernels is None or operators & {kernel.operator for kernel in kernels if kernel.device == device.kind}:
        return library
    return _lacking(operators, library) or library


def choose_kernels(
    open_with: Open, offer: Path | Obstacle, golden: Golden | None, card: ModelCard, stopwatch: Stopwatch | None
) -> Choice:
    """Open a model with the kernels on offer where they are right and (with a stopwatch) cost no more; else bodies.

    ModelBroken where the bodies do not give the golden answers either.
    """
    if card.operator_version is None:
        return Choice(_checked(open_with(None), golden, card), "none")
    if isinstance(offer, Obstacle):
        return Choice(_checked(open_with(None), golden, card), "body", offer)
    if golden is None:
        unverified = Obstacle(Cause.UNVERIFIED, "no golden batch to verify kernels with")
        return Choice(open_with(None), "body", unverified)
    fused = _try_kernels(open_with, offer, golden, card)
    if isinstance(fused, Obstacle):
        return Choice(_checked(open_with(None), golden, card), "body", fused)
    if stopwatch is not None:
        bodies = _checked(open_with(None), golden, card)
        if (lost := race(fused, bodies, golden, stopwatch)) is not None:
            return Choice(bodies, "body", lost)
    return Choice(fused, "fused", _gap(fused, card, offer))


def require_fused(choice: Choice) -> None:
    """ModelBroken where a body runs that a kernel should: where kernels are required, that is no version to serve."""
    if choice.obstacle is not None and choice.obstacle.cause is not Cause.NOT_NEEDED:
        raise ModelBroken(f"kernels are required: {choice.reason}")


def _checked(session: ModelSession, golden: Golden | None, card: ModelCard) -> ModelSession:
    problems = check_golden(session, golden, card.tolerances) if golden else []
    if problems:
        raise ModelBroken(f"not the golden answers: {'; '.join(problems)}")
    return session


def _try_kernels(open_with: Open, library: Path, golden: Golden, card: ModelCard) -> ModelSession | Obstacle:
    """A session that gives the golden answers with kernels, or why there is none."""
    try:
        session = _checked(open_with(library), golden, card)
    except FoveaError as error:
        return Obstacle(Cause.FAILED, f"with kernels: {error}")
    if session.fused_operators:
        return session
    return _gap(session, card, library) or Obstacle(Cause.NO_KERNEL, f"{library.name} has no kernel for this model")


def _gap(session: ModelSession, card: ModelCard, library: Path) -> Obstacle | None:
    """What is said of the operators that run from their bodies although the session has kernels."""
    return _lacking(card.operators - session.fused_operators, library)


def _lacking(bodies: Set[str], library: Path) -> Obstacle | None:
    """What is said of operators that run from their bodies beside a library; nothing of none."""
    if missing := {name for name in bodies if name not in OPERATORS or not OPERATORS[name].fused_by_onnx_runtime}:
        return Obstacle(Cause.NO_KERNEL, f"{library.name} has no kernel for {', '.join(sorted(missing))}")
    if bodies:
        return Obstacle(Cause.NOT_NEEDED, f"ONNX Runtime's own kernel runs {', '.join(sorted(bodies))}")
    return None
