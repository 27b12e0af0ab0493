"""What a front can send: asked before a model runs, as far as that can be known then, and again of what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from fovea.contract.errors import InvalidRequest
from fovea.serving.messages.answers import AnswerForm, WantedOutput


class Style(Protocol):
    """How a front writes answers that it does not send as they are."""

    def admit(self, wanted: Sequence[WantedOutput], rows: int) -> None:
        """InvalidRequest where it cannot write an output, or not so much, whatever is in it."""

    def check(self, wanted: Sequence[WantedOutput], arrays: Sequence[NDArray[Any]]) -> None:
        """InvalidRequest where it cannot write these."""

    def kind(self, wanted: Sequence[WantedOutput]) -> str:
        """The same for requests whose answers it can write alike."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A front's limit, or its style, which sees to limits itself."""

    most_bytes: int = 1 << 62
    style: Style | None = None

    def admit(self, form: AnswerForm, rows: int) -> None:
        """InvalidRequest for an answer that cannot be sent."""
        if form.row_bytes * rows > self.most_bytes:
            raise answer_too_large(form.row_bytes * rows, self.most_bytes)
        if self.style is not None:
            self.style.admit(form.wanted, rows)


def answer_too_large(size: int, most_bytes: int) -> InvalidRequest:
    """For an answer of so many bytes."""
    return InvalidRequest(f"the answer has {size} bytes, the limit is {most_bytes} (--max-message-mb)")


ANYTHING = Sending()
