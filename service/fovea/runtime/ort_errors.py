"""ONNX Runtime's error texts, cut down to what a reader needs."""

from __future__ import annotations

import re

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE = re.compile(r"\S*/onnxruntime/\S+:\d+ ")
_LONGEST = 300


def short_reason(error: BaseException) -> str:
    """The error in one line, without status codes and source paths of ONNX Runtime's own build."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = _SOURCE.sub("", _PREFIX.sub("", text))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
