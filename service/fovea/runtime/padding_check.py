"""Whether padding leaves a model's answers alone, seen from outside: a sequence beside a longer one, and by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, ModelBroken
from fovea.contract.sequence import SequenceSpec
from fovea.runtime.golden import Golden
from fovea.runtime.row_agreement import difference, tolerance_alone
from fovea.runtime.sample_rows import of_length, random_row
from fovea.runtime.session import ModelSession


def require_padding_harmless(session: ModelSession, sequence: SequenceSpec, golden: Golden | None) -> None:
    """ModelBroken where a golden sequence, or a random one, is answered otherwise when it is padded.

    A mask that is not named, or that the model uses in one place and not in another, shows here and not in a caller's
    answers. A row that the model cannot run proves nothing, which warm-up tells; nor do rows that never share a batch.
    """
    if session.max_batch_rows < 2:
        return
    short, long = _two_lengths(sequence)
    row = golden.inputs if golden else random_row(session.inputs, long, np.random.default_rng(0))
    row = {name: array[:1] for name, array in row.items()}
    pair = [of_length(row, sequence, length) for length in (short, long)]
    try:
        alone = {name: np.copy(array) for name, array in session.infer(pair[0]).items()}
        session.gather(pair)
        session.run()
    except ExecutionFailed:
        return
    together, _ = session.split([1, 1])
    changed = [name for name, array in alone.items() if difference(array, together[name], tolerance_alone([array]))]
    if changed:
        raise ModelBroken(
            f"sequence: padding a sequence of {short} to {long} changes {', '.join(changed)}: is the mask named, and "
            "used wherever the model looks along the sequence?"
        )


def _differ(alone: NDArray[Any], together: NDArray[Any]) -> bool:
    return alone.shape != together.shape or bool(difference(alone, together, tolerance_alone([alone])))


def _two_lengths(sequence: SequenceSpec) -> tuple[int, int]:
    """The first of its own bucket's length, so that it is not padded when it is alone, whatever the device."""
    buckets = sequence.buckets
    return (buckets[0], buckets[1]) if len(buckets) > 1 else ((buckets[0] + 1) // 2, buckets[0])
