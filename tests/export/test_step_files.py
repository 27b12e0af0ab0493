"""The files that the steps of inputs name, before anything is exported."""

from __future__ import annotations

import pytest

from fovea.contract.errors import ExportFailed
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.export.step_files import require_files

STEPS = InputSteps.model_validate(
    [{"step": "text"}, {"step": "split", "into": "words"}, {"step": "vocabulary", "pad": "[PAD]"}]
)
VOCABULARY = {"vocabulary.txt": "the\n[PAD]\n"}


def test_a_file_that_the_steps_name_must_be_there() -> None:
    with pytest.raises(ExportFailed, match=r"name 'vocabulary\.txt', which is none of its files"):
        require_files({"tokens": STEPS}, {})


def test_texts_of_one_request_and_of_one_batch_must_be_filled_up_alike() -> None:
    require_files({"tokens": STEPS}, VOCABULARY, [LengthSpec(inputs={"tokens": 1}, padding={"tokens": 1})])
    with pytest.raises(ExportFailed, match="'tokens' is filled up with 0, and its pad token has the id 1"):
        require_files({"tokens": STEPS}, VOCABULARY, [LengthSpec(inputs={"tokens": 1})])
