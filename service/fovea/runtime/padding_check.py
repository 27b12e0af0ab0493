"""What a model makes of sequences that are filled up, and of long ones, seen from outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.contract.sequence import SequenceSpec
from fovea.runtime.arrays import Arrays
from fovea.runtime.row_agreement import difference, tolerance_alone
from fovea.runtime.row_samples import GOLDEN, NEGATIVE, PLAIN, TYPICAL, RowSamples
from fovea.runtime.session import ModelSession

_LONG = 64
"""Of the longer of two mixes of lengths: models that look through a window see beyond it."""


def padding_harm(session: ModelSession, samples: RowSamples) -> str:
    """How a row's answers change when it is filled up to share a batch, in words; nothing where they do not.

    A mask that is not named, or that the model uses in one place and not in another, shows here and not in a caller's
    answers. Where no row can be run, nobody knows, which is told too. Rows that never share a batch are not tried.
    """
    sequence = samples.sequence
    if sequence is None or not sequence.padded or session.max_batch_rows < 2:
        return ""
    styles, tried = (TYPICAL, NEGATIVE), False
    for style in styles if samples.golden is None else (GOLDEN, *styles):
        for lengths in _mixes(sequence):
            rows = [samples.rows(style, length, len(lengths))[place] for place, length in enumerate(lengths)]
            changed = _changed(session, [_without(row, sequence.mask) for row in rows])
            if changed:
                return f"padding a sequence of {lengths[0]} to {lengths[1]} changes {', '.join(changed)}"
            tried = tried or changed is not None
    return "" if tried else f"sequences of {_words(_mixes(sequence))} could not be run to see what padding changes"


def _mixes(sequence: SequenceSpec) -> list[tuple[int, int]]:
    """A short and a long length. The first is of its own bucket's length, and is not padded alone on any device."""
    first, *more = sequence.buckets
    if not more:
        return [((first + 1) // 2, first)]
    far = [(low, high) for low, high in zip(sequence.buckets, more, strict=False) if first < low < _LONG]
    return [(first, more[0]), *far[-1:]]


def _words(mixes: Sequence[tuple[int, int]]) -> str:
    return " or ".join(f"{short} and {long}" for short, long in mixes)


def _without(row: Arrays, mask: str | None) -> Arrays:
    return {name: array for name, array in row.items() if name != mask}


def _changed(session: ModelSession, pair: Sequence[Arrays]) -> list[str] | None:
    """The outputs that change; None where these rows cannot be run."""
    try:
        alone = {name: np.copy(array) for name, array in session.infer(pair[0]).items()}
        session.gather(pair)
        session.run()
        together, _ = session.split([1, 1])
    except ExecutionFailed:
        return None
    return [
        name
        for name, array in alone.items()
        if array.shape != together[name].shape or difference(array, together[name], tolerance_alone([array]))
    ]


def longest_sequence(session: ModelSession, samples: RowSamples) -> int | None:
    """The longest bucket, where nothing longer can be run; None where it can, or where that cannot be told.

    `session` takes arrays as they are.
    """
    sequence = samples.sequence
    if sequence is None or sequence.longest is not None:
        return None
    style, longest = PLAIN if samples.golden is None else GOLDEN, sequence.buckets[-1]
    try:
        session.infer(samples.rows(style, longest, 1)[0])
        try:
            session.infer(samples.rows(style, longest + 1, 1)[0])
        except OutOfMemory:
            raise
        except ExecutionFailed:
            return longest
    except ExecutionFailed:
        pass
    return None
