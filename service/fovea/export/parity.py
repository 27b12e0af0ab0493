"""Does the exported file say what PyTorch says? Body and, where there is a library, kernels against float64.

Two bounds follow from one measured quantity, the error PyTorch itself makes in float32. Parity: at most 4 times that,
or 1e-4 of the largest value, since ONNX Runtime sums in another order. Golden tolerance: 10 times what was measured,
plus the same share, since other devices sum in yet other orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fovea.contract.errors import ExportFailed
from fovea.contract.model_card import Parity
from fovea.export.expected import Expected
from fovea.runtime.ort_errors import short_reason
from fovea.runtime.ort_session import SessionSettings, fused_operators, open_session

_FACTOR, _GOLDEN_FACTOR, _FLOOR = 4.0, 10.0, 1e-4


@dataclass(frozen=True)
class Comparison:
    """Largest absolute errors of one tensor against float64, and the largest absolute value it has there."""

    error: float
    float32_error: float
    scale: float

    @property
    def bound(self) -> float:
        """The error that float32 explains."""
        return max(_FACTOR * self.float32_error, _FLOOR * self.scale)

    @property
    def golden_tolerance(self) -> float:
        """What another device may deviate."""
        return _GOLDEN_FACTOR * max(self.error, self.float32_error) + _FLOOR * self.scale


def measure_bodies(files: Sequence[Path], batches: Sequence[Expected]) -> Parity:
    """What the bodies say, at the worst over `files`. ExportFailed where an error is beyond its bound.

    A file has the outputs of the module first; what follows is taken as its attention maps in order.
    """
    return _measure(files, batches, SessionSettings(), "body")


def measure_kernels(files: Sequence[Path], batches: Sequence[Expected], library: Path) -> Parity | None:
    """The same of the kernels; None where the library has none for these files. A FoveaError where they cannot run."""
    settings = SessionSettings(kernel_library=library)
    if not any(fused_operators(open_session(file, settings)) for file in files):
        return None
    return _measure(files, batches, settings, "kernel")


def _measure(
    files: Sequence[Path], batches: Sequence[Expected], settings: SessionSettings, runs: Literal["body", "kernel"]
) -> Parity:
    """Files are opened one after the other: large ones may not fit in memory together."""
    errors = dict.fromkeys((batch.rows for batch in batches), 0.0)
    for file in files:
        session = open_session(file, settings)
        for batch in batches:
            errors[batch.rows] = max(errors[batch.rows], _parity_error(session, batch, runs))
        del session
    return Parity(runs=runs, max_abs_error=errors)


def compare(session: onnxruntime.InferenceSession, batch: Expected) -> dict[str, Comparison]:
    """Every output of the session, by name, against the module in float64 and in float32."""
    names = [output.name for output in session.get_outputs()]
    actual, (exact, single) = _answer(session, names, batch), (batch.exact[: len(names)], batch.single[: len(names)])
    return {
        name: Comparison(_largest_of_batch(a, e, batch.rows), _largest(s, e), _largest(e, np.zeros_like(e)))
        for name, a, e, s in zip(names, actual, exact, single, strict=True)
    }


def _answer(session: onnxruntime.InferenceSession, names: list[str], batch: Expected) -> list[NDArray[Any]]:
    try:
        return list(session.run(names, dict(batch.inputs)))
    except Exception as error:  # ONNX Runtime has a dozen kinds
        raise ExportFailed(f"the exported graph fails at batch {batch.rows}: {short_reason(error)}") from error


def _parity_error(session: onnxruntime.InferenceSession, batch: Expected, run: str) -> float:
    compared = compare(session, batch)
    for name, comparison in compared.items():
        if not comparison.error <= comparison.bound:  # a NaN fails too
            raise ExportFailed(
                f"{name} of the {run} is off by {comparison.error:.3g} at batch {batch.rows}; "
                f"float32 explains {comparison.bound:.3g}"
            )
    return max(comparison.error for comparison in compared.values())


def _largest_of_batch(actual: NDArray[Any], exact: NDArray[Any], rows: int) -> float:
    """Over the whole batch, whose first rows `exact` has; NaN where there is one."""
    if actual.shape != (rows, *exact.shape[1:]):
        raise ExportFailed(f"the exported graph gives shape {list(actual.shape)}, PyTorch {[rows, *exact.shape[1:]]}")
    parts = (actual[start : start + len(exact)] for start in range(0, rows, len(exact)))
    return float(np.max([_largest(part, exact[: len(part)]) for part in parts]))


def _largest(left: NDArray[Any], right: NDArray[Any]) -> float:
    if left.size == 0:
        return 0.0
    return float(np.max(np.abs(left.astype(np.float64) - right.astype(np.float64))))
