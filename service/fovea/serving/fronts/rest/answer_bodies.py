"""From answers to HTTP bodies: JSON, and the binary data that may follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fovea.serving.fronts.rest.answer_style import AnswerStyle
from fovea.serving.fronts.rest.json_values import json_data, to_json
from fovea.serving.requests.answer import Answer, WantedOutput
from fovea.serving.requests.tensor_data import to_raw


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: JSON, then binary data where `json_bytes` tells how much of it is JSON."""

    data: bytes
    json_bytes: int | None = None


def infer_answer(answer: Answer, style: AnswerStyle) -> Body:
    """An answer as a body; InvalidRequest where an output's texts are no UTF-8."""
    form, binary = answer.form, list[bytes | memoryview]()
    facts = {"model_name": form.model, "model_version": form.version}
    if answer.id:
        facts["id"] = answer.id
    outputs = [
        _output(output, array, answer.written.get(output.spec.name), style, binary)
        for output, array in zip(form.wanted, answer.arrays, strict=True)
    ]
    head = _with(facts, "outputs", b"[" + b",".join(outputs) + b"]")
    return Body(b"".join([head, *binary]), len(head) if binary else None)


def _output(
    output: WantedOutput, array: NDArray[Any], written: int | None, style: AnswerStyle, binary: list[bytes | memoryview]
) -> bytes:
    name = output.spec.name
    facts: dict[str, Any] = {"name": name, "datatype": output.datatype, "shape": array.shape}
    if written is not None and output.place is not None:
        facts["parameters"] = output.place.parameters(written)
        return json_data(facts)
    if style.is_binary(name):
        data = to_raw(array)
        binary.append(data)
        facts["parameters"] = {"binary_data_size": len(data)}
        return json_data(facts)
    return _with(facts, "data", to_json(name, array))


def _with(facts: dict[str, Any], key: str, written: bytes) -> bytes:
    """The facts as JSON, and one more whose JSON is already written."""
    return json_data(facts)[:-1] + b',"' + key.encode() + b'":' + written + b"}"
