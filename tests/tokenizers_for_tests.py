"""Small tokenizers of the `tokenizers` library, as BERT and GPT have them."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = ["The quick brown fox jumps over a lazy dog.", "Naïve cafés in Ångström's straße", "漢字かな", "a b c d e f g"]
MARKED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def word_pieces() -> Tokenizer:
    """As BERT has it; its file says that texts are cut, and filled up."""
    return Tokenizer.from_str(_word_pieces())


@cache
def _word_pieces() -> str:
    """Once: each training numbers the pieces otherwise."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=MARKED, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=6)
    return str(tokenizer.to_str())


def bytes_in_pairs() -> Tokenizer:
    """As GPT has it: any byte has a token, and none marks the beginning or the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def plain(tokenizer: Tokenizer) -> Tokenizer:
    """The library's own, which cuts nothing and fills nothing up."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
