"""Which inputs of a model take pictures and texts, as its card and its vocabulary say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fovea.contract.errors import InvalidRequest, ModelBroken
from fovea.contract.model_card import ModelCard
from fovea.inputs.pictures import Limits
from fovea.serving.inputs.raw_input import RawInput, raw_inputs
from fovea.serving.requests.header_check import MOST_UNBATCHED, HeaderCheck
from fovea.serving.requests.infer_request import InputTensor, RequestHeader
from fovea.serving.requests.request_parameters import RequestDefaults

WORDS = "[PAD]\n[UNK]\na\nb\n"
TOKENS = {"name": "tokens", "datatype": "INT32", "shape": [-1, -1]}
MASK = {"name": "mask", "datatype": "FP32", "shape": [-1, -1]}
LENGTH = {"inputs": {"tokens": 1}, "mask": "mask"}


def text_card(length: dict[str, Any] | None = None, batched: bool = True, **step: Any) -> ModelCard:
    steps = [{"step": "text"}, {"step": "split", "into": "words"}, {"step": "vocabulary", **step}]
    return ModelCard.model_validate(
        {
            "name": "m",
            "attention": "none",
            "inputs": [TOKENS, MASK],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
            "batched": batched,
            "lengths": {} if length is None else {"text": length},
            "input_steps": {"tokens": steps},
            "parameters": 0,
            "opset": 21,
        }
    )


def text_input(vocabulary: str = WORDS, length: dict[str, Any] | None = None, **step: Any) -> RawInput:
    return raw_inputs(text_card(length, **step), {"vocabulary.txt": vocabulary}.__getitem__)["tokens"]


def made(raw: RawInput, *texts: bytes) -> dict[str, np.ndarray]:
    return raw.tensors([raw.row(place, [text], Limits()) for place, text in enumerate(texts)])


def test_texts_become_ids_and_a_mask_of_the_datatypes_that_the_model_takes() -> None:
    tensors = made(text_input(length=LENGTH, unknown="[UNK]", pad="[PAD]"), b"a b c", b"b")
    assert {name: array.dtype for name, array in tensors.items()} == {"tokens": np.int32, "mask": np.float32}
    assert tensors["tokens"].tolist() == [[2, 3, 1], [3, 0, 0]]
    assert tensors["mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_where_filling_changes_answers_texts_of_one_length_only_share_a_request() -> None:
    unpadded = text_input(length={**LENGTH, "padded": False}, pad="[PAD]")
    assert made(unpadded, b"a b", b"b a")["tokens"].tolist() == [[2, 3], [3, 2]]
    with pytest.raises(InvalidRequest, match="texts of different lengths in one request: the model may answer other"):
        made(unpadded, b"a b", b"b")


def test_where_the_card_names_no_length_nobody_has_tried_to_fill_them_up_and_they_do_too() -> None:
    unnamed = text_input(pad="[PAD]")
    assert made(unnamed, b"a b", b"b a")["tokens"].tolist() == [[2, 3], [3, 2]]
    with pytest.raises(InvalidRequest, match="texts of different lengths in one request: the model may answer other"):
        made(unnamed, b"a b", b"b")


def test_without_a_pad_token_they_do_too() -> None:
    with pytest.raises(InvalidRequest, match=r"input 'tokens': .* the model has no token that fills up short ones"):
        made(text_input(length=LENGTH), b"a b", b"b")


@pytest.mark.parametrize(
    ("vocabulary", "step", "problem"),
    [
        ("[UNK]\n[PAD]\n", {"pad": "[PAD]"}, "'tokens' is filled up with 0, and its pad token has the id 1"),
        ("a\n", {"unknown": "[UNK]"}, r"vocabulary.txt lacks the token '\[UNK\]'"),
    ],
)
def test_a_vocabulary_that_does_not_fit_its_card_is_the_models_fault(
    vocabulary: str, step: dict[str, str], problem: str
) -> None:
    with pytest.raises(ModelBroken, match=problem):
        text_input(vocabulary, LENGTH, **step)


def test_a_request_to_a_model_that_does_not_batch_has_few_texts() -> None:
    card = text_card(LENGTH, batched=False)
    raw = raw_inputs(card, {"vocabulary.txt": WORDS}.__getitem__)
    check = HeaderCheck(card, 1, 1, RequestDefaults(), raw)

    def header(texts: int) -> RequestHeader:
        return RequestHeader("m", "", [InputTensor("tokens", "BYTES", (texts,))])

    assert check.check(header(MOST_UNBATCHED)).rows == 1
    with pytest.raises(InvalidRequest, match="input 'tokens': expected at most 256, received 257 texts"):
        check.check(header(MOST_UNBATCHED + 1))
