"""Answers to ModelInferResponse bytes: what is the same in every answer of a form is serialized once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fovea.serving.fronts.grpc.plain_parameters import message_of
from fovea.serving.requests.answer import Answer, AnswerForm, answer_too_large
from fovea.serving.requests.kept import Kept
from fovea.serving.requests.tensor_data import to_raw
from fovea.wire import length_mark, message

_InferResponse = message("ModelInferResponse")
_ID_TAG = bytes(_InferResponse(id=" ").SerializeToString()[:1])
_RAW_TAG = bytes(_InferResponse(raw_output_contents=[b""]).SerializeToString()[:-1])

Shapes = tuple[tuple[int, ...], ...]


class AnswerWriter:
    """Writes answers of up to `most_bytes`. May be used by any thread."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._heads: Kept[tuple[AnswerForm, Shapes], bytes] = Kept()

    def admit(self, form: AnswerForm, rows: int) -> None:
        """InvalidRequest for an answer that cannot be sent, whatever is in it."""
        if form.row_bytes * rows > self._most_bytes:
            raise answer_too_large(form.row_bytes * rows, self._most_bytes)

    def __call__(self, answer: Answer) -> bytes:
        """The serialized ModelInferResponse; InvalidRequest where it is too large."""
        body = _with_places(answer) if answer.written else self._joined(answer)
        if len(body) > self._most_bytes:
            raise answer_too_large(len(body), self._most_bytes)
        return body

    def _joined(self, answer: Answer) -> bytes:
        """Serialized fields may be joined in any order, and the joined bytes are the message that has them all."""
        key = (answer.form, tuple([array.shape for array in answer.arrays]))
        parts: list[bytes | memoryview] = [self._heads.get(key) or self._new_head(key)]
        if answer.id:
            request_id = answer.id.encode()
            parts += (length_mark(_ID_TAG, len(request_id)), request_id)
        for array in answer.arrays:
            raw = to_raw(array)
            parts += (length_mark(_RAW_TAG, len(raw)), raw)
        return b"".join(parts)

    def _new_head(self, key: tuple[AnswerForm, Shapes]) -> bytes:
        head = bytes(_head(*key).SerializeToString())
        self._heads.put(key, head, len(head))
        return head


def _head(form: AnswerForm, shapes: Sequence[tuple[int, ...]]) -> Any:
    """An answer without its id and its data."""
    response = _InferResponse(model_name=form.model, model_version=form.version)
    for output, shape in zip(form.wanted, shapes, strict=True):
        response.outputs.add(name=output.spec.name, datatype=output.datatype, shape=shape)
    return response


def _with_places(answer: Answer) -> bytes:
    """As from Triton, an output in shared memory has an entry of no bytes: clients find the others' by counting."""
    response = _head(answer.form, [array.shape for array in answer.arrays])
    response.id = answer.id
    for output, array, said in zip(answer.form.wanted, answer.arrays, response.outputs, strict=True):
        written = answer.written.get(output.spec.name)
        if output.place is not None and written is not None:
            for name, value in output.place.parameters(written).items():
                said.parameters[name].MergeFrom(message_of(value))
        response.raw_output_contents.append(bytes(to_raw(array)) if written is None else b"")
    return bytes(response.SerializeToString())
