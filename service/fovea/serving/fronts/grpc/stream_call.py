"""One request on a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import grpc

from fovea import wire
from fovea.serving.fronts.grpc.infer_requests import id_of
from fovea.wire import message

_ANSWER_TAG = bytes(message("ModelStreamInferResponse")(infer_response={}).SerializeToString()[:-1])


def _mark(*, final: bool) -> bytes:
    """A parameter to join to an answer. A stream that asks for an empty last answer gets this all the same: Triton
    sends an empty one only where nothing else could carry the mark.
    """
    parameters = {"triton_final_response": {"bool_param": final}}
    return bytes(message("ModelInferResponse")(parameters=parameters).SerializeToString())


_FINAL, _NOT_FINAL = _mark(final=True), _mark(final=False)


class CallsStream(Protocol):
    """The stream that a request came on."""

    deadline_s: float | None
    gone: bool

    @property
    def metadata(self) -> Iterable[tuple[str, Any]]:
        """What its caller sent beside messages."""

    def is_open(self, call: StreamCall) -> bool:
        """Whether its last answer has not been sent."""

    def answers_many(self, call: StreamCall) -> None:
        """Let a request wait for none but those of its id, and none but these for it."""

    def answer(self, call: StreamCall, message: bytes, *, final: bool) -> None:
        """Send a message when its turn comes."""


class StreamCall:
    """A `Call` that shares a stream with others."""

    alone = False
    __slots__ = ("_data", "_id", "_stream", "answers", "answers_once", "bytes", "deadline_s", "ended")
    rpc = "ModelStreamInfer"

    def __init__(self, stream: CallsStream, data: bytes) -> None:
        self._stream, self._data = stream, data
        self._id: str | None = None
        self.deadline_s = stream.deadline_s
        self.bytes = len(data)
        """Bytes of its request."""
        self.answers: list[bytes] = []
        """Messages whose turn has not come."""
        self.ended = False
        """Whether its last answer has been given."""
        self.answers_once = True
        """Whether its first answer will be its last."""

    @property
    def id(self) -> str:
        """What the request calls itself; "" where it has no id."""
        if self._id is None:
            self._id = id_of(self._data)
        return self._id

    @property
    def metadata(self) -> Iterable[tuple[str, Any]]:
        """What the stream's caller sent beside messages."""
        return self._stream.metadata

    @property
    def gone(self) -> bool:
        """True once the stream has ended."""
        return self._stream.gone

    @property
    def over(self) -> bool:
        """True once its last answer has been sent, or the stream has ended."""
        return self.gone or not self._stream.is_open(self)

    def watch(self) -> None:
        """Nothing: `gone` is up to date without it."""

    def answers_many(self) -> None:
        """It will be answered more than once, which shows with the first answer at the latest."""
        self._stream.answers_many(self)

    def tell(self, body: bytes) -> None:
        """Send a serialized answer that is not the last."""
        self._answer(body, _NOT_FINAL, final=False)

    def finish(self, body: bytes) -> None:
        """Send the last serialized answer."""
        self._answer(body, _FINAL, final=True)

    def _answer(self, body: bytes, mark: bytes, *, final: bool) -> None:
        framed = b"".join((wire.length_mark(_ANSWER_TAG, len(body) + len(mark)), body, mark))
        self._stream.answer(self, framed, final=final)

    def refuse(self, _code: grpc.StatusCode, text: str) -> None:
        """Send an error's text, with the request's id, as the last answer: the stream has no place for its code."""
        error = message("ModelStreamInferResponse")(error_message=text, infer_response={"id": self.id})
        self._stream.answer(self, bytes(error.SerializeToString()), final=True)

    def forget_request(self) -> None:
        """Let go of the request's bytes."""
        self._data, self.bytes = b"", 0
