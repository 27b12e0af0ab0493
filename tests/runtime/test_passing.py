"""Which trouble is the machine's, and may be over later, and which the files'."""

from __future__ import annotations

import errno

import pytest

from fovea.contract.errors import Misconfigured, ModelBroken
from fovea.runtime.transient_errors import may_pass
from fovea.runtime.trial_process import Ended


@pytest.mark.parametrize(
    ("cause", "passes"),
    [
        (TimeoutError(), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (MemoryError(), True),
        (Misconfigured("ONNX Runtime could not use cuda"), True),
        (Ended(-9), True),
        (Ended(-11), False),
        (ValueError("not the golden answers"), False),
        (None, False),
    ],
)
def test_trouble_is_told_by_its_cause(cause: Exception | None, passes: bool) -> None:
    inner, outer = ModelBroken("model.onnx: why"), ModelBroken("model.onnx: why")
    inner.__cause__, outer.__cause__ = cause, inner
    assert may_pass(outer) is passes


def test_too_little_memory_is_known_by_its_words() -> None:
    assert may_pass(ModelBroken("model.onnx: Failed to allocate memory for requested buffer of size 4096"))
