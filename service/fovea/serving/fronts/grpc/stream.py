"""One stream of ModelStreamInfer: its requests run side by side and are answered in the order in which they came."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from fovea import wire
from fovea.serving.fronts.grpc.infer_requests import id_of
from fovea.wire import message

log = logging.getLogger(__name__)

Infer = Callable[[Any, bytes], None]
"""Takes a call and a request's bytes; never raises, never blocks."""

_FINAL = bytes(
    message("ModelInferResponse")(parameters={"triton_final_response": {"bool_param": True}}).SerializeToString()
)
"""Every model here answers once: each answer is its request's last. A stream that asks for an empty last answer gets
the mark all the same, as from Triton, which sends an empty one only where nothing else could carry it."""
_ANSWER_TAG = bytes(message("ModelStreamInferResponse")(infer_response={}).SerializeToString()[:-1])


@dataclass(frozen=True)
class StreamLimits:
    """What streams may take: threads, and memory for those that read slower than they write."""

    streams: int = 64
    """Most that may be open."""
    unanswered: int = 64
    """Most requests of one stream whose answers have not been sent; beyond it no more are read."""
    bytes: int = 64 << 20
    """The same for their size in all, where there is more than one."""


class Stream:
    """One stream. `read` and `answers` run on a thread each; its calls are answered by any."""

    def __init__(self, infer: Infer, deadline_s: float | None, limits: StreamLimits) -> None:
        self._infer, self.deadline_s, self._limits = infer, deadline_s, limits
        self.calls: deque[StreamCall] = deque()
        """Those whose answer has not been sent, in the order they came."""
        self.changed = threading.Condition()
        self.bytes = 0
        self.gone = self.draining = False
        self.all_read = False
        """The client has said that it sends no more, or there is no more to be had."""

    def read(self, messages: Iterator[bytes]) -> None:
        """Take requests in for as long as there is room for their answers."""
        try:
            while self._has_room() and (data := next(messages, None)) is not None:
                self._take_in(data)
        except grpc.RpcError:  # the client has cancelled
            log.debug("a stream was cancelled")
        except Exception:
            log.exception("a stream cannot be read on")
        finally:
            with self.changed:
                self.all_read = True
                self.changed.notify_all()

    def _has_room(self) -> bool:
        """Wait for room; False where the stream has ended."""
        limits = self._limits
        with self.changed:
            self.changed.wait_for(
                lambda: self.gone or (len(self.calls) < limits.unanswered and self.bytes < limits.bytes)
            )
            return not self.gone

    def _take_in(self, data: bytes) -> None:
        call = StreamCall(self, data)
        with self.changed:
            self.calls.append(call)
            self.bytes += call.bytes
        self._infer(call, data)

    def answers(self) -> Iterator[bytes]:
        """What to send, in order, until all is answered or the stream has ended."""
        while (call := self._next_answered()) is not None:
            yield call.answer
            with self.changed:  # gRPC asks on once it has been sent
                self.calls.popleft()
                self.bytes -= call.bytes
                self.changed.notify_all()

    def _next_answered(self) -> StreamCall | None:
        with self.changed:
            self.changed.wait_for(lambda: self.gone or (self.calls[0].answer if self.calls else self._is_last()))
            return self.calls[0] if self.calls and not self.gone else None

    def _is_last(self) -> bool:
        return self.all_read or self.draining

    def drain(self) -> None:
        """End once everything that was read is answered."""
        with self.changed:
            self.draining = True
            self.changed.notify_all()

    def end(self) -> None:
        """The call is over: nobody waits for answers any more."""
        with self.changed:
            self.gone = True
            self.changed.notify_all()


class StreamCall:
    """One request on a stream; a `Call` of the servicer."""

    def __init__(self, stream: Stream, data: bytes) -> None:
        self._stream, self._data = stream, data
        self.deadline_s = stream.deadline_s
        self.bytes = len(data)
        """Of its request, then of its answer."""
        self.answer = b""

    @property
    def gone(self) -> bool:
        """True once the stream has ended."""
        return self._stream.gone

    @property
    def over(self) -> bool:
        """True once its answer has been sent, or the stream has ended."""
        return self.gone or self not in self._stream.calls.copy()

    def watch(self) -> None:
        """Nothing: `gone` is up to date without it."""

    def finish(self, body: bytes) -> None:
        """Send the serialized answer when it is its turn."""
        size = len(body) + len(_FINAL)
        self._send(b"".join((wire.length_mark(_ANSWER_TAG, size), body, _FINAL)))

    def refuse(self, _code: grpc.StatusCode, text: str) -> None:
        """Send an error's text, with the request's id, when it is its turn: the stream has no place for its code."""
        told = message("ModelStreamInferResponse")(error_message=text, infer_response={"id": id_of(self._data)})
        self._send(bytes(told.SerializeToString()))

    def _send(self, answer: bytes) -> None:
        stream = self._stream
        with stream.changed:
            if self.answer:
                return
            self.answer, self._data = answer, b""
            stream.bytes += len(answer) - self.bytes
            self.bytes = len(answer)
            stream.changed.notify_all()
