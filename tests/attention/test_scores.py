"""The score functions against implementations that are not ours: torch's, or loops in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fovea.attention.additive import AdditiveAttention
from fovea.attention.bilinear import BilinearAttention
from fovea.attention.distance import DistanceAttention
from fovea.attention.dot import DotAttention, PlainSelfAttention, ScaledDotAttention

Score = Callable[[np.ndarray, np.ndarray], float]

MODULES: dict[str, Callable[[], nn.Module]] = {
    "additive": lambda: AdditiveAttention(6, 6, hidden=4),
    "distance": DistanceAttention,
    "dot": DotAttention,
    "scaled_dot": ScaledDotAttention,
    "bilinear": lambda: BilinearAttention(6, 6),
}


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def _tokens(key_width: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """3 queries of width 6, 5 keys, 5 values of width 2; two rows."""
    return _random(2, 3, 6), _random(2, 5, key_width), _random(2, 5, 2)


def _loops(tokens: tuple[Tensor, Tensor, Tensor], score: Score) -> tuple[np.ndarray, np.ndarray]:
    """y and P, one query after another."""
    query, key, value = (tensor.numpy() for tensor in tokens)
    y, attention = np.zeros((2, 3, 2)), np.zeros((2, 3, 5))
    for row, place in np.ndindex(2, 3):
        powers = np.exp([score(query[row, place], each) for each in key[row]])
        attention[row, place] = powers / powers.sum()
        y[row, place] = sum(share * each for share, each in zip(attention[row, place], value[row], strict=True))
    return y, attention


def _agree(module: nn.Module, tokens: tuple[Tensor, Tensor, Tensor], score: Score) -> None:
    with torch.no_grad():
        got = module.double()(*tokens, return_attention=True)
    for ours, right in zip(got, _loops(tokens, score), strict=True):
        np.testing.assert_allclose(ours.numpy(), right, rtol=1e-12)


def test_additive_attention_is_bahdanaus() -> None:
    module = AdditiveAttention(6, 7, hidden=4).double()
    w, u, v = (p.detach().numpy() for p in (module.project_key.weight, module.project_query.weight, module.v))
    _agree(module, _tokens(7), lambda query, key: float(v @ np.tanh(w @ key + u @ query)))


@pytest.mark.parametrize("bandwidth", [0.5, 1.0, 3.0])
def test_distance_attention_is_regression_with_a_gaussian_kernel(bandwidth: float) -> None:
    module = DistanceAttention(1 / (2 * bandwidth**2))
    _agree(module, _tokens(), lambda query, key: -((np.linalg.norm(query - key) / bandwidth) ** 2) / 2)


def test_distance_attention_has_a_bandwidth_of_one_by_default() -> None:
    assert DistanceAttention().scale == 0.5


def test_bilinear_attention_compares_vectors_of_two_spaces() -> None:
    module = BilinearAttention(6, 7).double()
    w = module.weight.detach().numpy()
    _agree(module, _tokens(7), lambda query, key: sum(query[a] * w[a, e] * key[e] for a, e in np.ndindex(6, 7)))


@pytest.mark.parametrize("masked", [False, True])
def test_dot_products_agree_with_torch(masked: bool) -> None:
    query, key, value = _tokens()
    mask = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1)) > 0.4 if masked else None
    assert mask is None or mask.any(-1).all()
    for module, scale in ((DotAttention(), 1.0), (ScaledDotAttention(), None)):
        expected = scaled_dot_product_attention(query, key, value, mask, scale=scale)
        torch.testing.assert_close(module(query, key, value, mask), expected)


@pytest.mark.parametrize("kind", MODULES)
def test_where_keys_are_the_values_attention_is_the_plain_mean_of_them_by_their_shares(kind: str) -> None:
    module, (query, key, value) = MODULES[kind]().double(), _tokens()
    y, shares = module(query, key, key, return_attention=True)
    torch.testing.assert_close(y, (shares[..., None] * key[:, None]).sum(2))
    _, same_shares = module(query, key, value, return_attention=True)
    assert torch.equal(shares, same_shares)  # values have no part in where it looks


def test_self_attention_without_parameters_is_torchs_of_one_tensor() -> None:
    module, (x, *_) = PlainSelfAttention(), _tokens()
    assert not list(module.parameters())
    torch.testing.assert_close(module(x), scaled_dot_product_attention(x, x, x))
    y, shares = module(x, torch.eye(3, dtype=torch.bool), return_attention=True)
    assert torch.equal(y, x)
    assert torch.equal(shares[0], torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("kind", MODULES)
def test_hidden_keys_count_for_nothing(kind: str) -> None:
    module, (query, key, value) = MODULES[kind]().double(), _tokens()
    visible = torch.tensor([True, False, True, True, False])
    y, attention = module(query, key, value, visible.expand(2, 1, 5), return_attention=True)
    expected, shares = module(query, key[:, visible], value[:, visible], return_attention=True)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(attention[:, :, visible], shares)
    assert attention[:, :, ~visible].abs().max() == 0


@pytest.mark.parametrize("kind", MODULES)
def test_a_query_that_may_attend_nothing_yields_zeros_and_a_gradient(kind: str) -> None:
    module, (query, key, value) = MODULES[kind]().double(), _tokens()
    mask = torch.ones(2, 3, 5, dtype=torch.bool)
    mask[:, 1] = False
    query.requires_grad_()
    y, attention = module(query, key, value, mask, return_attention=True)
    y.sum().backward()
    assert y[:, 1].abs().max() == 0
    assert attention[:, 1].abs().max() == 0
    assert query.grad is not None
    assert query.grad.isfinite().all()


@pytest.mark.parametrize("kind", MODULES)
def test_shares_of_each_query_sum_to_one(kind: str) -> None:
    module, tokens = MODULES[kind]().double(), _tokens()
    y, attention = module(*tokens, return_attention=True)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    torch.testing.assert_close(module(*tokens), y)


@pytest.mark.parametrize("kind", MODULES)
def test_tensors_that_would_have_to_be_broadcast_are_refused_with_their_shapes(kind: str) -> None:
    module, (query, key, value) = MODULES[kind]().double(), _tokens()
    with pytest.raises(ValueError, match=r"do not fit together: \[1, 3, \d\], \[2, 5, \d\], \[2, 5, 2\]"):
        module(query[:1], key, value)
    with pytest.raises(ValueError, match="do not fit together"):
        module(query, key, value[:, :1])


def test_a_mask_of_another_shape_is_refused_by_the_operator() -> None:
    query, key, value = _tokens()
    with pytest.raises(ValueError, match=r"\[2, 1, 5\]"):
        torch.ops.fovea.dot_attention(query, key, value, torch.ones(2, 1, 5, dtype=torch.bool), 1.0)
