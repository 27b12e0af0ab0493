"""A tokenizer of one's own: pairs of bytes that occur often become tokens (Sennrich et al. 2016, arXiv:1508.07909).

The same texts always give the same file: ties are broken by the tokens' numbers. (The library numbers word pieces
otherwise each time.)
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

PAD, START, END, MASK = "[PAD]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, START, END, MASK)
"""By their ids, from 0."""


def trained_tokenizer(texts: Iterable[str], size: int) -> str:
    """The file of a tokenizer of `size` tokens, in small letters, that puts START before a text and END behind it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    marks = ((END, SPECIAL.index(END)), (START, SPECIAL.index(START)))
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True), processors.BertProcessing(*marks)]
    )
    return str(tokenizer.to_str())
