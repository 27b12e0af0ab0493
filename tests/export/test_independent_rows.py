"""A module whose rows are not a batch is refused before it is exported: strangers would get each other's answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fovea.attention.external import ExternalAttention
from fovea.contract.errors import ExportFailed
from fovea.export.independent_rows import require_independent_rows
from fovea.export.reference import Reference


class Formula(nn.Module):
    """A module made of one function of its input."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def rows_of(*shape: int):
    def rows(count: int) -> Mapping[str, np.ndarray]:
        generator = np.random.default_rng(count)
        return {"x": generator.standard_normal((count, *shape)).astype(np.float32)}

    return rows


class SequenceFirst(nn.Module):
    """PyTorch's attention with its default, batch_first=False."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


MIXING = {
    "softmax over axis 0": Formula(lambda x: x.softmax(0)),
    "mean of the batch": Formula(lambda x: x - x.mean(0)),
    "running sum": Formula(lambda x: x.cumsum(0)),
    "neighbour": Formula(lambda x: x.roll(1, 0)),
    "best of the batch": Formula(lambda x: x == x.amax(0)),
    "scores of all pairs": Formula(lambda x: x @ x.T),
    "turned": Formula(lambda x: x.T),
    "one number": Formula(lambda x: x.sum()),
    "cut to the longest": Formula(lambda x: x[:, : int((x > 150).sum(1).max()) + 1]),
    "only above a threshold": Formula(lambda x: torch.where(x.abs() > 120, x.sum(0, keepdim=True), x)),
    "statistics of the batch": nn.BatchNorm1d(4, track_running_stats=False),
}


@pytest.mark.parametrize("module", MIXING.values(), ids=MIXING)
def test_module_that_mixes_rows_is_refused(module: nn.Module) -> None:
    with pytest.raises(ExportFailed, match=r"otherwise than alone|fails on its inputs"):
        require_independent_rows(Reference(module), rows_of(4))


@pytest.mark.parametrize("module", [SequenceFirst(), nn.LSTM(8, 4)], ids=["attention", "LSTM"])
def test_sequence_first_is_refused_and_told_what_to_set(module: nn.Module) -> None:
    with pytest.raises(ExportFailed, match="batch_first=True"):
        require_independent_rows(Reference(module), rows_of(1, 8))


def test_module_that_draws_random_numbers_is_refused_as_that() -> None:
    with pytest.raises(ExportFailed, match="otherwise each time"):
        require_independent_rows(Reference(Formula(lambda x: nn.functional.dropout(x, 0.5))), rows_of(16))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8)),
        (ExternalAttention(8, 4), (5, 8)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), (3, 6, 6)),
        (Formula(lambda x: x.argmax(1)), (5,)),
        (Formula(lambda x: (x / 0 * 0).log()), (5,)),  # NaN is an answer too
    ],
    ids=["transformer", "external", "convolution", "classes", "nan"],
)
def test_module_whose_rows_are_apart_passes(module: nn.Module, shape: tuple[int, ...]) -> None:
    require_independent_rows(Reference(module), rows_of(*shape))


class InAnotherOrder(nn.Module):
    """Large sums that nearly cancel, as deep networks have: a batch adds them in another order than one row."""

    def forward(self, x: Tensor) -> Tensor:
        small, large = x / 3, 20 * x**5
        return (small + large) - large if len(x) > 1 else small + (large - large)


def test_rounding_of_rows_that_are_a_hundred_times_too_large_is_no_mixing() -> None:
    rows = rows_of(4)
    together = {"x": 100 * rows(2)["x"]}
    reference = Reference(InAnotherOrder())
    alone = np.concatenate([reference.answer({"x": row[None]}).arrays[0] for row in together["x"]])
    off = np.abs(reference.answer(together).arrays[0] - alone).max() / np.abs(alone).max()
    assert 3e-7 < off < 3e-5
    require_independent_rows(reference, rows)
