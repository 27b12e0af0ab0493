"""The end-to-end memory network (Sukhbaatar et al. 2015, arXiv:1503.08895): answers a question out of facts.

u = B question; in each hop p = softmax(u · A fact over the facts), o = Σ p C fact, u ← u + o (layer-wise: H u + o);
logits = W u. Sentences become vectors with position encoding.
Differs from the paper: facts have no order, so there is no temporal encoding; an answer may have several words, and
its row of W is their sentence's vector.
"""

from __future__ import annotations

from itertools import chain
from typing import Literal

from torch import Tensor, nn

from fovea.attention.dot import DotAttention
from fovea.networks.sentences import PAD, SentenceEmbedding

Sharing = Literal["adjacent", "layer_wise"]
"""adjacent: A of a hop is C of the hop before it, B is the first A, W the last C. layer_wise: A and C are the same in
every hop, B and W are their own, and H leads from hop to hop."""


class MemoryNetwork(nn.Module):
    """Tokens of facts (B, F, T) and of questions (B, T) -> logits (B, answers); `answers` are tokens (answers, T)."""

    def __init__(
        self, words: int, answers: Tensor, *, hops: int = 3, width: int = 64, sharing: Sharing = "adjacent"
    ) -> None:
        super().__init__()
        adjacent = sharing == "adjacent"
        self.register_buffer("answers", answers, persistent=False)
        self.embed = nn.ModuleList(SentenceEmbedding(words, width) for _ in range(hops + 1 if adjacent else 4))
        self.matrices = [(hop, hop + 1) if adjacent else (1, 2) for hop in range(hops)]
        self.hops = nn.ModuleList(DotAttention() for _ in range(hops))
        self.between = nn.Identity() if adjacent else nn.Linear(width, width, bias=False)

    def forward(self, facts: Tensor, question: Tensor) -> Tensor:
        """Facts and words that are all padding count for nothing."""
        there = (facts != PAD).any(-1)[:, None, :]  # (B, 1, F)
        memories = {place: self.embed[place](facts) for place in sorted({*chain(*self.matrices)})}  # (B, F, width)
        state = self.embed[0](question)[:, None]  # (B, 1, width)
        for hop, (key, value) in zip(self.hops, self.matrices, strict=True):
            state = self.between(state) + hop(state, memories[key], memories[value], there)
        logits: Tensor = state[:, 0] @ self.embed[-1](self.answers).T
        return logits
