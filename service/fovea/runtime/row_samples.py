"""Rows to tell by whether a model keeps rows apart: of many kinds of values and lengths, and with ends of zeros.

What one model takes makes another fail, so each kind is tried and what cannot be run is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.lengths import Lengths, LengthSpec, NamedLengths, filling_of, input_axes, masks_of
from fovea.contract.tensor_spec import TensorSpec
from fovea.raw_tensors import NUMPY_DTYPE
from fovea.runtime.golden import Golden
from fovea.runtime.sample_rows import of_lengths

Row = dict[str, NDArray[Any]]
Floats = Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]

LENGTHS = (5, 17, 64, 3, 1, 8, 32, 128, 256, 416, 512, 2048, 16_000)
"""For axes of unknown size: odd ones, multiples of 8, 32 and 64, and those that a receptive field of 400 needs."""
_LONG = 64
"""Lengths without a limit are tried as far as that at least."""
_FEW = 2
"""0 and 1 are in every vocabulary."""
_STEP = 3
"""From one row's end to the next one's, so that the first few rows are short, long and full."""
_WORDS = np.array([b"a", b"b", b"the", b"of attention"], np.object_)
_DIGITS = np.array([b"0", b"1"], np.object_)
"""Texts that a model which makes numbers of them can read."""
_LARGE = 300.0
_SCALES = (1.0, 5.0, 0.02)
_POWERS = (1.0, 0.5, 0.0)
"""Rows of different size, so that what goes by the largest of a batch shows; of whole numbers, the power of what they
may be."""


@dataclass(frozen=True)
class Style:
    """How the values of a row are drawn."""

    floats: Floats
    few: bool = False
    """Whole numbers are 0 and 1 only, and so are texts."""
    ends: bool = False
    """Each row is zero, or padding, from a place of its own on."""
    large: bool = False
    """Values are large, so that rounding may differ by more."""
    golden: bool = False
    """Values come from the golden batch."""
    many: bool = False
    """Worth a larger batch besides."""


def _unit(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return rng.random(shape)


def _negative(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return -rng.random(shape)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return rng.standard_normal(shape)


def _far(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return _LARGE * rng.standard_normal(shape)


GOLDEN = Style(_unit, golden=True, many=True)
PLAIN = Style(_unit, few=True)
"""Suits logarithms, roots and every vocabulary."""
TYPICAL = Style(_unit)
NEGATIVE = Style(_negative)
"""What is filled up with zeros gets a larger value than it has."""
STYLES = (
    PLAIN,
    Style(_far, ends=True, large=True),
    Style(_normal, many=True),
    Style(_unit, few=True, ends=True),
    Style(_far, large=True),
)


@dataclass(frozen=True)
class RowSamples:
    """Makes rows for these inputs, the same ones every time."""

    inputs: tuple[TensorSpec, ...]
    lengths: NamedLengths = field(default_factory=dict)
    golden: Golden | None = None
    below: Mapping[str, int] = field(default_factory=dict)
    """Input of whole numbers -> what its values stay below."""
    negative: frozenset[str] = frozenset()
    """Those inputs of whole numbers whose values may be as far below 0."""
    open_size: int | None = None
    """Of open axes that are no named length; None: as long as the first one."""

    @property
    def tries(self) -> tuple[Lengths, ...]:
        """Sizes worth trying: one for each named length or, where there is none, one for all axes that are open."""
        if self.lengths:
            sizes = [_sizes(length) for length in self.lengths.values()]
            turns = range(max(map(len, sizes)))  # the lengths of a row differ, as they will
            return tuple(
                dict.fromkeys(
                    tuple(own[(turn + place) % len(own)] for place, own in enumerate(sizes)) for turn in turns
                )
            )
        return tuple((size,) for size in LENGTHS) if any(-1 in spec.shape[1:] for spec in self.inputs) else ((1,),)

    @property
    def styles(self) -> tuple[Style, ...]:
        """The kinds of row that can be made."""
        return STYLES if self.golden is None else (GOLDEN, *STYLES)

    def numbers(self, lengths: Lengths) -> int:
        """How many numbers a row of these lengths has, over all inputs."""
        return sum(prod(self._shape(spec, lengths)) for spec in self.inputs)

    def rows(self, style: Style, lengths: Lengths, count: int) -> list[Row]:
        """Rows of one shape and different content."""
        rng = np.random.default_rng(lengths)
        if style.golden:
            return [self._golden_row(place, lengths, rng) for place in range(count)]
        return [
            {spec.name: self._array(spec, style, lengths, (place, count), rng) for spec in self.inputs}
            for place in range(count)
        ]

    @cached_property
    def masks(self) -> frozenset[str]:
        """Inputs that tell how far each row goes."""
        return masks_of(self.lengths)

    @cached_property
    def _axes(self) -> dict[str, dict[int, int]]:
        return input_axes(self.lengths)

    @cached_property
    def _filling(self) -> dict[str, float]:
        return filling_of(self.lengths)

    def _shape(self, spec: TensorSpec, lengths: Lengths) -> tuple[int, ...]:
        """The shape of one row of an input, with these lengths."""
        axes, sizes = self._axes.get(spec.name, {}), list(spec.shape)
        for axis, size in enumerate(sizes):
            if size == -1:
                sizes[axis] = lengths[axes[axis]] if axis in axes else self.open_size or lengths[0]
        return (1, *sizes[1:])

    def whole_inputs(self) -> dict[str, int]:
        """Inputs of whole numbers, but a mask -> what their type stays below."""
        found = {spec.name: np.dtype(NUMPY_DTYPE[spec.datatype]) for spec in self.inputs if spec.name not in self.masks}
        return {name: int(np.iinfo(dtype).max) + 1 for name, dtype in found.items() if dtype.kind in "iu"}

    def _golden_row(self, place: int, lengths: Lengths, rng: np.random.Generator) -> Row:
        """A golden row, and after the last one golden rows in disorder."""
        assert self.golden is not None
        rows = self.golden.rows
        row = {name: array[place % rows : place % rows + 1] for name, array in self.golden.inputs.items()}
        row = of_lengths(row, self.lengths, lengths)
        if place >= rows:
            row = {name: rng.permuted(array.ravel()).reshape(array.shape) for name, array in row.items()}
        masks = (spec for spec in self.inputs if spec.name in self.masks)
        return row | {spec.name: np.ones(self._shape(spec, lengths), NUMPY_DTYPE[spec.datatype]) for spec in masks}

    def _array(
        self, spec: TensorSpec, style: Style, lengths: Lengths, place: tuple[int, int], rng: np.random.Generator
    ) -> NDArray[Any]:
        shape = self._shape(spec, lengths)
        if spec.name in self.masks:
            array = np.ones(shape, NUMPY_DTYPE[spec.datatype])
        else:
            array = self._values(spec, style, shape, place[0] % len(_SCALES), rng)
        if style.ends:
            self._end(spec, array, place)
        return array

    def _values(
        self, spec: TensorSpec, style: Style, shape: tuple[int, ...], size: int, rng: np.random.Generator
    ) -> NDArray[Any]:
        if spec.datatype == "BYTES":
            return rng.choice(_DIGITS if style.few else _WORDS, shape)
        dtype = np.dtype(NUMPY_DTYPE[spec.datatype])
        if dtype.kind == "f":
            return (_SCALES[size] * style.floats(rng, shape)).astype(dtype)
        below = _FEW if style.few else max(_FEW, int(self.below.get(spec.name, _FEW) ** _POWERS[size]))
        least = 1 if style.ends else -below if style.large and spec.name in self.negative else 0
        return rng.integers(least, below, shape).astype(dtype)

    def _end(self, spec: TensorSpec, array: NDArray[Any], place: tuple[int, int]) -> None:
        """Fill it up from a place of its own on, along its lengths or its longest axis."""
        if array.ndim < 2 or spec.datatype == "BYTES":
            return
        axes = self._axes.get(spec.name, {}) if self.lengths else {1 + int(np.argmax(array.shape[1:])): 0}
        for axis, which in axes.items():
            size, turn = array.shape[axis], (place[0] + which) * _STEP  # what is short in one length is long in another
            end = max(1, size * (1 + turn % place[1]) // place[1])
            array[(slice(None),) * axis + (slice(end, None),)] = self._filling.get(spec.name, 0)


def _sizes(length: LengthSpec) -> tuple[int, ...]:
    buckets, most = length.buckets, length.longest or max(length.buckets[-1], _LONG)
    return tuple(dict.fromkeys((*(size for size in LENGTHS if size <= most), buckets[0], buckets[-1])))
