"""Hard attention: a query reads one value, the most probable or a drawn one (Xu et al. 2015, arXiv:1502.03044).

index = argmax over the allowed keys of the scores, y = value[index]; drawn: of the scores with Gumbel noise, which is a
draw from their softmax (Maddison et al. 2014, arXiv:1411.0030);
scores (B, Tq, Tk), values (B, Tk, D), seed (B) int64, y (B, Tq, D), index (B, Tq) int64.
Differs from the papers: a query that may attend nothing yields zeros and index -1; a seed makes a draw repeatable.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.draws import gumbel_noise
from fovea.attention.registration import operator
from fovea.attention.scores import ScoredAttention, full_mask


@operator("HardArgmaxAttention")
def hard_argmax_attention(scores: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Index = the first key of the largest score among the allowed ones, Y = v[Index].

    scores (B, Tq, Tk), v (B, Tk, D), mask boolean (B, Tq, Tk), True = may be attended -> Y (B, Tq, D), Index (B, Tq).
    A query without any key that is allowed and scores more than -∞ has Y = 0 and Index = -1; a NaN counts as ∞.
    """
    if v.shape[:2] != scores.shape[::2] or (mask is not None and mask.shape != scores.shape):
        shapes = [list(tensor.shape) for tensor in (scores, v, mask) if tensor is not None]
        raise ValueError(f"scores, values and mask do not fit together: {', '.join(map(str, shapes))}")
    scores = scores.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    # Before the first key stands one that nobody beats by -∞, with the value 0.
    place = F.pad(scores, (1, 0), value=-torch.inf).argmax(-1)  # (B, Tq)
    values = F.pad(v, (0, 0, 1, 0))  # (B, 1 + Tk, D)
    return values.gather(1, place[..., None].expand(-1, -1, v.shape[2])), place - 1


@operator("HardSampleAttention")
def hard_sample_attention(scores: Tensor, v: Tensor, seed: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Index = a key drawn from the softmax of the scores over the allowed ones, Y = v[Index].

    The same seed (B) int64 draws the same, whatever else is in the batch and however far keys are filled up.
    """
    if seed.shape != scores.shape[:1]:
        raise ValueError(f"expected a seed for each of {scores.shape[0]} rows, got {list(seed.shape)}")
    noisy = scores + gumbel_noise(seed, *scores.shape[1:])
    y, index = hard_argmax_attention(noisy, v, mask)
    return y, index


class HardAttention(nn.Module):
    """Reads one value a query, chosen by the scores of `score`, whose weights are the only ones.

    A choice has no gradient: `fovea.attention.hard_training` has the ways to learn one.
    """

    def __init__(self, score: ScoredAttention) -> None:
        super().__init__()
        self.score = score

    def choose(self, scores: Tensor, value: Tensor, mask: Tensor | None, seed: Tensor | None) -> tuple[Tensor, Tensor]:
        """y and index by one operator: the most probable key without a seed, a drawn one with it."""
        if seed is None:
            y, index = torch.ops.fovea.hard_argmax_attention(scores, value, mask)
        else:
            y, index = torch.ops.fovea.hard_sample_attention(scores, value, seed, mask)
        return y, index

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        seed: Tensor | None = None,
        return_attention: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """y (B, Tq, D), or (y, index (B, Tq)). `mask`: broadcastable to (B, Tq, Tk); `seed` (B) int64: draw."""
        scores = self.score.scores(query, key)
        y, index = self.choose(scores, value, full_mask(mask, query, key), seed)
        return (y, index) if return_attention else y
