"""The key-value memory network (Miller et al. 2016, arXiv:1606.03126): finds facts by their keys, reads their values.

q = A question; in each hop p = softmax(q · A key over the facts), o = Σ p C value, q ← R (q + o) with an R for each;
logits = q · B answer. Sentences are bags of words.
Differs from the paper: values have a matrix C of their own, where A serves for them there, so that R can tell a name
that was read from one that was asked for; and the memory is all of the facts that come with the question, none are
chosen by their words.
"""

from __future__ import annotations

from torch import Tensor, nn

from fovea.attention.dot import DotAttention
from fovea.networks.sentences import PAD, SentenceEmbedding


class KeyValueMemoryNetwork(nn.Module):
    """Keys (B, F, T), values (B, F, T') and question (B, T'') as tokens -> logits (B, answers).

    `answers` (answers, T‴), as tokens too.
    """

    def __init__(self, words: int, answers: Tensor, *, hops: int = 3, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("answers", answers, persistent=False)
        self.embed = SentenceEmbedding(words, width, positions=False)
        self.embed_value = SentenceEmbedding(words, width, positions=False)
        self.embed_answer = SentenceEmbedding(words, width, positions=False)
        self.hops = nn.ModuleList(DotAttention() for _ in range(hops))
        self.updates = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(hops))

    def forward(self, keys: Tensor, values: Tensor, question: Tensor) -> Tensor:
        """Facts and words that are all padding count for nothing."""
        there = (keys != PAD).any(-1)[:, None, :]  # (B, 1, F)
        key, value = self.embed(keys), self.embed_value(values)  # (B, F, width)
        state = self.embed(question)[:, None]  # (B, 1, width)
        for hop, update in zip(self.hops, self.updates, strict=True):
            state = update(state + hop(state, key, value, there))
        logits: Tensor = state[:, 0] @ self.embed_answer(self.answers).T
        return logits
