"""What a model makes of requests that are filled up along its lengths, and of long ones, seen from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, OutOfMemory
from fovea.contract.lengths import Lengths, LengthSpec, NamedLengths
from fovea.runtime.arrays import Arrays
from fovea.runtime.row_agreement import difference, tolerance_alone
from fovea.runtime.row_samples import GOLDEN, NEGATIVE, PLAIN, TYPICAL, RowSamples
from fovea.runtime.session import ModelSession

_LONG = 64
"""Of the longer of two mixes of lengths: models that look through a window see beyond it."""


@dataclass(frozen=True)
class _Mix:
    """Two rows that differ in their lengths, and what happens to them in one batch, in words."""

    rows: tuple[Lengths, Lengths]
    words: str

    @property
    def padded(self) -> list[int]:
        """The places of those that are filled up."""
        longest = tuple(map(max, zip(*self.rows, strict=True)))
        return [place for place, lengths in enumerate(self.rows) if lengths != longest]


def padding_harm(session: ModelSession, samples: RowSamples, rounding: Mapping[str, float]) -> dict[str, str]:
    """How a row's answers change when it is filled up to share a batch, in words, by the lengths where they do.

    A mask that is not named, or that the model uses in one place and not in another, shows here and not in a caller's
    answers. Where no row can be run, nobody knows, which is told too. Rows that never share a batch are not tried.
    `rounding`: output -> what its card allows, where it has one: several softmaxes in a row enlarge what another order
    of additions changes.
    Each length is tried by itself; then those that did no harm, all at once, one row short where the other is long.
    """
    padded = [name for name, length in samples.lengths.items() if length.padded]
    if not padded or session.max_batch_rows < 2:
        return {}
    first = next(iter(samples.lengths.values()))
    samples = replace(samples, open_size=first.buckets[0])  # rows that differ in it share no batch
    found = {name: _harm(session, samples, _mixes(samples.lengths, name), rounding) for name in padded}
    harm = {name: told for name, told in found.items() if told}
    harmless = [name for name in padded if name not in harm]
    if len(harmless) > 1 and (told := _harm(session, samples, [_crossed(samples.lengths, harmless)], rounding)):
        harm |= dict.fromkeys(harmless, told)
    return harm


def _harm(session: ModelSession, samples: RowSamples, mixes: Sequence[_Mix], rounding: Mapping[str, float]) -> str:
    styles, tried = (TYPICAL, NEGATIVE), False
    for style in styles if samples.golden is None else (GOLDEN, *styles):
        for mix in mixes:
            made = [samples.rows(style, lengths, len(mix.rows))[place] for place, lengths in enumerate(mix.rows)]
            rows = [{name: array for name, array in row.items() if name not in samples.masks} for row in made]
            changed = _changed(session, rows, mix.padded, rounding)
            if changed:
                return f"{mix.words} changes {', '.join(changed)}"
            tried = tried or changed is not None
    words = " or ".join(mix.words for mix in mixes)
    return "" if tried else f"what {words} changes could not be seen: such requests fail"


def _mixes(lengths: NamedLengths, name: str) -> list[_Mix]:
    """A short and a long row, which differ in one length."""
    return [
        _Mix((_sizes(lengths, {name: short}), _sizes(lengths, {name: long})), f"padding from {short} to {long}")
        for short, long in _pairs(lengths[name])
    ]


def _crossed(lengths: NamedLengths, names: Iterable[str]) -> _Mix:
    """Two rows of which each is short in every other length."""
    pairs = {name: _pairs(lengths[name])[0] for name in names}
    first = {name: pair[place % 2] for place, (name, pair) in enumerate(pairs.items())}
    second = {name: pair[1 - place % 2] for place, (name, pair) in enumerate(pairs.items())}
    words = " and ".join(f"{name} from {short} to {long}" for name, (short, long) in pairs.items())
    return _Mix((_sizes(lengths, first), _sizes(lengths, second)), f"padding {words}")


def _sizes(lengths: NamedLengths, chosen: dict[str, int]) -> Lengths:
    """Others are as long as their first buckets, so that they are not padded on any device."""
    return tuple(chosen.get(name, length.buckets[0]) for name, length in lengths.items())


def _pairs(length: LengthSpec) -> list[tuple[int, int]]:
    """A short and a long size. The first is of its own bucket's size, and is not padded alone on any device."""
    first, *more = length.buckets
    if not more:
        return [((first + 1) // 2, first)]
    far = [(low, high) for low, high in zip(length.buckets, more, strict=False) if first < low < _LONG]
    return [(first, more[0]), *far[-1:]]


def _changed(
    session: ModelSession, rows: Sequence[Arrays], padded: Sequence[int], rounding: Mapping[str, float]
) -> list[str] | None:
    """The outputs that change for rows in these places; None where these rows cannot be run."""
    try:
        alone = {place: _copied(session.infer(rows[place])) for place in padded}
        session.gather(rows)
        session.run()
        together = session.split([1] * len(rows))
    except ExecutionFailed:
        return None
    found = (
        name
        for place, one in alone.items()
        for name in one
        if _differ(one[name], together[place][name], rounding.get(name, 0.0))
    )
    return list(dict.fromkeys(found))


def _copied(outputs: Arrays) -> dict[str, NDArray[Any]]:
    return {name: np.copy(array) for name, array in outputs.items()}


def _differ(alone: NDArray[Any], together: NDArray[Any], rounding: float) -> bool:
    allowed = tolerance_alone([alone])
    wider = replace(allowed, by_place=np.maximum(allowed.by_place, rounding))
    return alone.shape != together.shape or bool(difference(alone, together, wider))


def longest_lengths(session: ModelSession, samples: RowSamples) -> dict[str, int]:
    """The last bucket of each length of which nothing longer can be run; those of which it can, or of which that cannot
    be told, are left out.

    `session` takes arrays as they are.
    """
    last = {name: length.buckets[-1] for name, length in samples.lengths.items() if length.longest is None}
    return {name: size for name, size in last.items() if _ends(session, samples, name, size)}


def _ends(session: ModelSession, samples: RowSamples, name: str, longest: int) -> bool:
    """Whether this size can be run and the next one cannot; nobody knows where memory is what is missing."""
    style = PLAIN if samples.golden is None else GOLDEN
    fitting, next_one = (
        samples.rows(style, _sizes(samples.lengths, {name: size}), 1)[0] for size in (longest, longest + 1)
    )
    try:
        session.infer(fitting)
    except ExecutionFailed:
        return False
    try:
        session.infer(next_one)
    except OutOfMemory:
        return False
    except ExecutionFailed:
        return True
    return False
