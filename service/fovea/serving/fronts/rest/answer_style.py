"""Which outputs an HTTP caller gets as binary data after the JSON, and whether JSON can have the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fovea.contract.errors import InvalidRequest
from fovea.serving.fronts.rest.json_values import BINARY_ONLY, SHORTEST_VALUE, most_json_bytes
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.requests.answer import Answer, AnswerForm, WantedOutput, answer_too_large
from fovea.serving.requests.tensor_data import to_raw


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """Which outputs a request wants as binary data, and what an answer may take."""

    limits: RestLimits
    binary: Mapping[str, bool]
    by_default: bool = False

    def is_binary(self, name: str) -> bool:
        """Whether this output travels as binary data."""
        return self.binary.get(name, self.by_default)

    def admit(self, form: AnswerForm, rows: int) -> None:
        """InvalidRequest where an output has no form in JSON, or the answer is too large whatever is in it."""
        size = 0
        for output in form.wanted:
            if output.place is not None:
                continue
            if self.is_binary(output.spec.name):
                size += output.row_bytes * rows
                continue
            if output.datatype in BINARY_ONLY:
                words = f"{output.datatype} has no form in JSON, ask for it with binary_data"
                raise InvalidRequest(f"output '{output.spec.name}': {words}")
            size += self._json_bytes(output, output.row_elements * rows * SHORTEST_VALUE)
        if size > self.limits.body_bytes:
            raise answer_too_large(size, self.limits.body_bytes)

    def check(self, answer: Answer) -> None:
        """InvalidRequest where it may be too large: what has been counted as a success is not refused later."""
        size, most = 0, min(self.limits.json_bytes, self.limits.body_bytes)
        for output, array in zip(answer.form.wanted, answer.arrays, strict=True):
            if output.place is not None:
                continue
            if self.is_binary(output.spec.name):
                size += len(to_raw(array)) if array.dtype == object else array.nbytes
            else:
                size += self._json_bytes(output, most_json_bytes(array, most))
        if size > self.limits.body_bytes:
            raise answer_too_large(size, self.limits.body_bytes)

    def _json_bytes(self, output: WantedOutput, size: int) -> int:
        most = self.limits.json_bytes
        if size > most:
            words = f"it may take more than {most} bytes of JSON (--max-json-mb), ask for it with binary_data"
            raise InvalidRequest(f"output '{output.spec.name}': {words}")
        return size
