"""Hard attention: choices, draws that can be repeated, and what they are trained by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fovea.attention import hard_training
from fovea.attention.dot import ScaledDotAttention
from fovea.attention.draws import gumbel_noise, noise_of, random_bits
from fovea.attention.hard import HardAttention
from fovea.attention.scores import masked_softmax

CHI_SQUARE_999 = {4: 18.47, 15: 37.70}
"""Degrees of freedom -> what one in a thousand fair samples exceeds."""


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _chi_square(counts: Tensor, shares: Tensor) -> float:
    expected = shares * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_the_chosen_key_is_the_most_probable_of_soft_attention() -> None:
    query, key, value = _random(3, 4, 6), _random(3, 9, 6, seed=1), _random(3, 9, 2, seed=2)
    mask = torch.rand(3, 1, 9, generator=torch.Generator().manual_seed(3)) > 0.4
    _, shares = ScaledDotAttention()(query, key, value, mask, return_attention=True)
    y, index = HardAttention(ScaledDotAttention())(query, key, value, mask, return_attention=True)
    assert torch.equal(index, shares.argmax(-1))
    assert torch.equal(y, torch.stack([value[row][index[row]] for row in range(3)]))


def test_draws_follow_the_soft_weights() -> None:
    scores, mask = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5, 9.0]), torch.tensor([1, 1, 1, 1, 1, 0]).bool()
    rows, shape = 20_000, (20_000, 1, 6)
    value = torch.arange(6.0)[None, :, None].expand(rows, -1, 1)
    _, index = torch.ops.fovea.hard_sample_attention(
        scores.expand(shape), value, torch.arange(rows), mask.expand(shape)
    )
    counts = torch.bincount(index.flatten(), minlength=6)
    assert counts[5] == 0
    assert _chi_square(counts[:5], masked_softmax(scores, mask)[:5]) < CHI_SQUARE_999[4]


@pytest.mark.parametrize("varied", ["seeds", "queries", "keys", "distant seeds"])
def test_random_bits_are_even_along_every_axis(varied: str) -> None:
    count = 32_000
    sizes = {"seeds": (count, 1, 1), "queries": (1, count, 1), "keys": (1, 1, count), "distant seeds": (count, 1, 1)}
    rows, queries, keys = sizes[varied]
    seeds = torch.arange(rows) << (32 if varied == "distant seeds" else 0)
    bits = random_bits(seeds, queries, keys).flatten()
    assert len(bits.unique()) > count - 2 - count**2 / 2**32  # collisions are as rare as chance has them
    for shift in (28, 10):
        assert (
            _chi_square(torch.bincount((bits >> shift) & 15, minlength=16), torch.full((16,), 1 / 16))
            < (CHI_SQUARE_999[15])
        )


def test_a_draw_depends_on_its_seed_and_place_alone() -> None:
    seeds = torch.tensor([7, -3, 2**62])
    full = gumbel_noise(seeds, 5, 9)
    assert torch.equal(full[1:2, :2, :4], gumbel_noise(seeds[1:2], 2, 4))
    assert not torch.equal(full[0], full[1])


def test_no_noise_is_so_near_to_a_rounding_that_an_error_of_a_logarithm_would_show() -> None:
    """All of them, with either logarithm one unit in the last place too large or too small."""
    bits = torch.arange(1 << 22) << 10
    uniform = (np.arange(1 << 22) + 0.5) / 2**22
    for first in (-np.inf, np.inf):
        exponential = np.nextafter(-np.log(uniform), first)
        for second in (-np.inf, np.inf):
            noise = np.nextafter(-np.log(exponential), second)
            assert np.array_equal(noise.astype(np.float32), noise_of(bits).numpy())


def test_seeds_that_do_not_fit_the_rows_are_refused() -> None:
    scores, value = _random(2, 3, 4), _random(2, 4, 5)
    with pytest.raises(ValueError, match=r"a seed for each of 2 rows, got \[3\]"):
        torch.ops.fovea.hard_sample_attention(scores, value, torch.arange(3), None)
    with pytest.raises(ValueError, match=r"do not fit together: \[2, 3, 4\], \[2, 5, 5\]"):
        torch.ops.fovea.hard_argmax_attention(scores, _random(2, 5, 5), None)


def _expected_gradient(scores: Tensor, value: Tensor) -> Tensor:
    """Of the cost of a draw, over all of them."""
    scores = scores.clone().requires_grad_()
    shares = scores.softmax(-1)  # (1, 1, Tk)
    (shares[0, 0] * (value[0] ** 2).sum(-1)).sum().backward()
    assert scores.grad is not None
    return scores.grad


def _mean_gradient(estimator: str, scores: Tensor, value: Tensor, draws: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    many = scores.expand(draws, -1, -1).clone().requires_grad_()
    values = value.expand(draws, -1, -1)
    noise = hard_training.gumbel(many, generator)
    if estimator == "score_function":
        y, log_probability = hard_training.drawn(many, values, None, noise)
        cost = hard_training.score_function((y**2).sum((1, 2)), log_probability)
    else:
        y = getattr(hard_training, estimator)(many, values, None, noise, 0.3)
        cost = (y**2).sum((1, 2))
    cost.sum().backward()
    assert many.grad is not None
    return many.grad.mean(0, keepdim=True)


def test_the_score_functions_gradient_is_the_expected_one() -> None:
    scores, value = _random(1, 1, 4), _random(1, 4, 3, seed=1)
    found = _mean_gradient("score_function", scores, value, 200_000)
    torch.testing.assert_close(found, _expected_gradient(scores, value), rtol=0, atol=0.02)


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel_softmax"])
def test_the_other_two_point_where_the_expected_gradient_does(estimator: str) -> None:
    scores, value = _random(1, 1, 4), _random(1, 4, 3, seed=1)
    found = _mean_gradient(estimator, scores, value, 20_000)
    assert F.cosine_similarity(found.flatten(), _expected_gradient(scores, value).flatten(), dim=0) > 0.9


def test_straight_through_gives_the_value_of_the_chosen_key() -> None:
    scores, value = _random(2, 3, 5), _random(2, 5, 4, seed=1)
    mask = torch.tensor([True, True, False, True, False]).expand(2, 3, 5)
    given = hard_training.straight_through(scores, value, mask, torch.zeros_like(scores), 0.5)
    torch.testing.assert_close(given, torch.ops.fovea.hard_argmax_attention(scores, value, mask)[0])


def test_draws_of_training_are_those_of_the_operator_where_their_noise_is() -> None:
    scores, value, seeds = _random(6, 3, 5), _random(6, 5, 4, seed=1), torch.arange(6)
    given, log_probability = hard_training.drawn(scores, value, None, gumbel_noise(seeds, 3, 5))
    expected, index = torch.ops.fovea.hard_sample_attention(scores, value, seeds, None)
    torch.testing.assert_close(given, expected)
    torch.testing.assert_close(log_probability, scores.log_softmax(-1).gather(-1, index[..., None])[..., 0])


def test_a_query_that_may_attend_nothing_reads_zeros_in_training_too() -> None:
    mask = torch.tensor([[False, False, False], [True, False, True]])[None]
    y, log_probability = hard_training.drawn(_random(1, 2, 3), _random(1, 3, 4, seed=1), mask, torch.zeros(1, 2, 3))
    assert (y[0, 0] == 0).all()
    assert log_probability[0, 0] == 0
    assert (y[0, 1] != 0).all()
