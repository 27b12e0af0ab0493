"""What holds of weights and choices for any shapes, masks and dtypes, whatever the score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fovea.attention.additive import AdditiveAttention
from fovea.attention.bilinear import BilinearAttention
from fovea.attention.distance import CentralAttention, DistanceAttention
from fovea.attention.dot import DotAttention, ScaledDotAttention
from fovea.attention.hard import HardAttention
from fovea.attention.scores import ScoredAttention
from fovea.attention.simam import SimAM

SCORES: dict[str, Callable[[int], ScoredAttention]] = {
    "additive": lambda width: AdditiveAttention(width, width, 5),
    "distance": lambda _: DistanceAttention(),
    "dot": lambda _: DotAttention(),
    "scaled_dot": lambda _: ScaledDotAttention(),
    "bilinear": lambda width: BilinearAttention(width, width),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
few = settings(max_examples=12, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Tokens:
    """Queries, keys, values and which may be attended; some rows may attend nothing."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor
    generator: torch.Generator

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.query.dtype]

    def module(self, score: str) -> ScoredAttention:
        torch.manual_seed(0)
        return SCORES[score](self.query.shape[-1]).to(self.query.dtype)

    def attended(self, score: str) -> tuple[Tensor, Tensor]:
        y, shares = self.module(score)(self.query, self.key, self.value, self.mask, return_attention=True)
        return y, shares


@st.composite
def tokens(draw: st.DrawFn, width: int | None = None) -> Tokens:
    sizes = st.integers(1, 9)
    rows, queries, keys, values = draw(sizes), draw(sizes), draw(sizes), draw(sizes)
    depth = draw(sizes) if width is None else width
    dtype = draw(st.sampled_from(list(TOLERANCE)))
    spread = draw(st.sampled_from([0.1, 1.0, 20.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator) * spread

    mask = torch.rand(rows, queries, keys, generator=generator) < draw(st.sampled_from([0.1, 0.6, 1.0]))
    return Tokens(normal(rows, queries, depth), normal(rows, keys, depth), normal(rows, keys, values), mask, generator)


@pytest.mark.parametrize("score", SCORES)
@given(case=tokens())
@few
def test_weights_are_shares_of_what_is_open_and_nothing_else(score: str, case: Tokens) -> None:
    _, shares = case.attended(score)
    assert (shares >= 0).all()
    assert not shares[~case.mask].any()
    torch.testing.assert_close(
        shares.sum(-1), case.mask.any(-1).to(shares.dtype), rtol=0, atol=case.tolerance, check_stride=False
    )


@pytest.mark.parametrize("score", SCORES)
@given(case=tokens())
@few
def test_keys_in_another_order_get_the_same_weights_and_give_the_same_result(score: str, case: Tokens) -> None:
    order = torch.randperm(case.key.shape[1], generator=case.generator)
    moved = Tokens(case.query, case.key[:, order], case.value[:, order], case.mask[..., order], case.generator)
    (y, shares), (moved_y, moved_shares) = case.attended(score), moved.attended(score)
    torch.testing.assert_close(moved_shares, shares[..., order], rtol=0, atol=10 * case.tolerance)
    torch.testing.assert_close(moved_y, y, rtol=0, atol=200 * case.tolerance)


@given(case=tokens(width=1))
@few
def test_of_width_one_scaled_dot_is_dot(case: Tokens) -> None:
    for scaled, plain in zip(case.attended("scaled_dot"), case.attended("dot"), strict=True):
        assert torch.equal(scaled, plain)


@given(case=tokens())
@few
def test_additive_scores_are_within_the_sum_of_v(case: Tokens) -> None:
    module = case.module("additive")
    assert isinstance(module, AdditiveAttention)
    bound = module.v.abs().sum() * (1 + case.tolerance)
    assert (module.scores(case.query, case.key).abs() <= bound).all()


@pytest.mark.parametrize("score", SCORES)
@given(case=tokens())
@few
def test_the_most_probable_key_of_soft_attention_is_the_hard_one(score: str, case: Tokens) -> None:
    _, shares = case.attended(score)
    module = HardAttention(case.module(score))
    _, index = module(case.query, case.key, case.value, case.mask, return_attention=True)
    some = case.mask.any(-1)
    assert (index[~some] == -1).all()
    chosen = shares.gather(-1, index.clamp(min=0)[..., None])[..., 0]
    assert (chosen[some] >= shares.amax(-1)[some] * (1 - 100 * case.tolerance)).all()


@pytest.mark.parametrize("score", SCORES)
@given(case=tokens())
@few
def test_a_drawn_key_is_an_open_one_and_gives_its_value(score: str, case: Tokens) -> None:
    seed = torch.arange(len(case.query)) * 1_000_003
    module = HardAttention(case.module(score))
    y, index = module(case.query, case.key, case.value, case.mask, seed, return_attention=True)
    for row, query in zip(*torch.where(index >= 0), strict=True):
        assert case.mask[row, query, index[row, query]]
        assert torch.equal(y[row, query], case.value[row, index[row, query]])
    assert torch.equal(index >= 0, case.mask.any(-1))


@given(case=tokens())
@few
def test_attention_without_queries_scores_by_the_sum_of_distances(case: Tokens) -> None:
    module, x, open_keys = CentralAttention(0.01), case.key.double(), case.mask[:, 0]
    y, shares = module(x, open_keys, return_attention=True)
    for row, allowed in enumerate(open_keys):
        kept = x[row, allowed]
        distances = torch.stack([((one - kept) ** 2).sum() for one in kept]) if len(kept) else torch.zeros(0)
        expected = (-0.01 * distances).softmax(0)
        torch.testing.assert_close(shares[row, 0, allowed], expected, rtol=1e-7, atol=1e-9, check_dtype=False)
        torch.testing.assert_close(y[row, 0], (expected[:, None].double() * kept).sum(0), rtol=1e-7, atol=1e-7)


@given(
    shape=st.tuples(*[st.integers(1, 7)] * 4),
    constant=st.floats(-50, 50),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@few
def test_simams_weights_do_not_change_when_a_constant_is_added_to_a_plane(
    shape: tuple[int, ...], constant: float, dtype: torch.dtype
) -> None:
    x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))
    _, weights = SimAM()(x, return_attention=True)
    _, moved = SimAM()(x + constant, return_attention=True)
    torch.testing.assert_close(moved, weights, rtol=0, atol=2e-3 if dtype == torch.float32 else 1e-8)
