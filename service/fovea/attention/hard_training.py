"""Three ways to learn a choice, which has no gradient of its own: what stands for hard attention while it is trained.

Score function: REINFORCE (Williams 1992, doi:10.1007/BF00992696); straight-through (Bengio et al. 2013,
arXiv:1308.3432); Gumbel-softmax (Jang et al. 2017, arXiv:1611.01144).
Shapes as in `hard.py`; `noise` (B, Tq, Tk) is Gumbel's, and nought to learn the most probable key.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fovea.attention.scores import masked_softmax

_LEAST = 1e-20


def gumbel(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of the shape of the scores, for training: quicker than the noise that can be repeated."""
    uniform = torch.rand(scores.shape, generator=generator, device=scores.device).clamp(min=_LEAST)
    return -torch.log((-torch.log(uniform)).clamp(min=_LEAST))


def gumbel_softmax(scores: Tensor, value: Tensor, mask: Tensor | None, noise: Tensor, temperature: float) -> Tensor:
    """y by the softmax of the noisy scores: the colder, the nearer to a choice, and the wilder its gradient."""
    return masked_softmax((scores + noise) / temperature, mask) @ value


def straight_through(scores: Tensor, value: Tensor, mask: Tensor | None, noise: Tensor, temperature: float) -> Tensor:
    """y by a choice, with the gradient that `gumbel_softmax` would have."""
    soft = masked_softmax((scores + noise) / temperature, mask)
    chosen = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
    if mask is not None:
        chosen = chosen.masked_fill(~mask, 0.0)
    return (chosen + soft - soft.detach()) @ value


def drawn(scores: Tensor, value: Tensor, mask: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor]:
    """y by a draw, and the logarithm of its probability (B, Tq), by which the score function learns.

    Both are 0 for a query that may attend nothing.
    """
    shares = masked_softmax(scores, mask)
    chosen = masked_softmax(scores + noise, mask).argmax(-1, keepdim=True)  # (B, Tq, 1)
    y = value.gather(1, chosen.expand(-1, -1, value.shape[2]))
    log_probability = shares.gather(-1, chosen)[..., 0].clamp(min=_LEAST).log()
    if mask is None:
        return y, log_probability
    attends = mask.any(-1)  # (B, Tq)
    return y * attends[..., None], log_probability * attends


def score_function(cost: Tensor, log_probability: Tensor) -> Tensor:
    """A loss (B) with the gradient of the expected `cost` (B): that of what was read, and that of having read it.

    The mean cost of the batch without the row itself is the baseline: it lowers the variance and changes no mean.
    """
    others = (cost.sum() - cost) / max(len(cost) - 1, 1)
    return cost + (cost - others).detach() * log_probability.flatten(1).sum(1)
