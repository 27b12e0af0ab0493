"""ModelStreamInfer: many requests and their answers on one call, for as long as the client likes.

A stream's requests run side by side, in batches with everybody else's, and are answered in the order they came, each by
an error's text or an answer. Public gRPC on both lanes, at two threads a stream: gRPC's handler sends, another reads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from fovea import wire
from fovea.contract.errors import FoveaError
from fovea.serving.codec import parse
from fovea.wire import message

log = logging.getLogger(__name__)

Infer = Callable[[Any, bytes], None]
"""Takes a call and a request's bytes; never raises, never blocks."""

_SPARE_THREADS = 4
"""To refuse the streams beyond the limit."""
_FINAL = bytes(
    message("ModelInferResponse")(parameters={"triton_final_response": {"bool_param": True}}).SerializeToString()
)
"""Every model here answers once: each answer is its request's last. A stream that asks for an empty last answer gets
the mark all the same, as from Triton, which sends an empty one only where nothing else could carry it."""
_DRAINING = (grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
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


class Streams:
    """The open streams of a server."""

    def __init__(self, infer: Infer, limits: StreamLimits) -> None:
        self._infer, self._limits = infer, limits
        self._pool = ThreadPoolExecutor(limits.streams + _SPARE_THREADS, "grpc-stream")
        self._open: set[_Stream] = set()
        self._lock = threading.Lock()
        self._draining = False

    def handler(self) -> grpc.RpcMethodHandler:
        """What gRPC is to call; it holds threads of a pool of its own."""

        def handle(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._answers(messages, context)

        handle.experimental_thread_pool = self._pool  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(handle)

    def unanswered(self) -> list[StreamCall]:
        """The requests that have been read and whose answers have not been sent."""
        return [call for stream in self._open.copy() for call in stream.calls.copy()]

    def drain(self) -> None:
        """End every stream once what it has in flight is answered."""
        with self._lock:
            self._draining = True
            streams = list(self._open)
        for stream in streams:
            stream.drain()

    def _answers(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = _Stream(self._infer, _deadline_s(context), self._limits)
        self._admit(stream, context)
        threading.Thread(target=stream.read, args=(messages,), daemon=True, name="stream-reader").start()
        yield from stream.answers()
        if stream.draining:
            context.abort(*_DRAINING)

    def _admit(self, stream: _Stream, context: grpc.ServicerContext) -> None:
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                self._open.add(stream)
        if refusal is not None:
            context.abort(*refusal)
        if not context.add_callback(lambda: self._ended(stream)):
            self._ended(stream)

    def _refusal(self) -> tuple[grpc.StatusCode, str] | None:
        if self._draining:
            return _DRAINING
        if len(self._open) >= self._limits.streams:
            text = f"{len(self._open)} streams are open, the limit is {self._limits.streams} (--max-infer-streams)"
            return grpc.StatusCode.RESOURCE_EXHAUSTED, text
        return None

    def _ended(self, stream: _Stream) -> None:
        with self._lock:
            self._open.discard(stream)
        stream.end()


class _Stream:
    """One stream. `read` and `answers` run on a thread each; its calls are answered by any."""

    def __init__(self, infer: Infer, deadline_s: float | None, limits: StreamLimits) -> None:
        self._infer, self.deadline_s, self._limits = infer, deadline_s, limits
        self.calls: deque[StreamCall] = deque()
        """Those whose answer has not been sent, in the order they came."""
        self.changed = threading.Condition()
        self.bytes = 0
        self.gone = self.draining = self._all_read = False

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
                self._all_read = True
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
        return self._all_read or self.draining

    def drain(self) -> None:
        """End once everything that was read is answered."""
        with self.changed:
            self.draining = True
            self.changed.notify_all()

    def end(self) -> None:
        """The call is over: nobody waits for answers any more."""
        with self.changed:
            self.gone = True
            calls = list(self.calls)
            self.changed.notify_all()
        for call in calls:
            call.on_gone()


class StreamCall:
    """One request on a stream; a `Call` of the servicer."""

    def __init__(self, stream: _Stream, data: bytes) -> None:
        self._stream, self._data = stream, data
        self.deadline_s = stream.deadline_s
        self.bytes = len(data)
        """Of its request, then of its answer."""
        self.answer = b""
        self.on_gone: Callable[[], None] = lambda: None

    @property
    def gone(self) -> bool:
        """True once the stream has ended."""
        return self._stream.gone

    @property
    def over(self) -> bool:
        """True once its answer has been sent, or the stream has ended."""
        return self.gone or self not in self._stream.calls.copy()

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Call once the stream has ended; `gone` is up to date without it."""
        with self._stream.changed:
            self.on_gone = on_gone
        if self.gone:
            on_gone()

    def finish(self, body: bytes) -> None:
        """Send the serialized answer when it is its turn."""
        size = len(body) + len(_FINAL)
        self._send(b"".join((wire.length_mark(_ANSWER_TAG, size), body, _FINAL)))

    def refuse(self, _code: grpc.StatusCode, text: str) -> None:
        """Send an error's text, with the request's id, when it is its turn: the stream has no place for its code."""
        told = message("ModelStreamInferResponse")(error_message=text, infer_response={"id": _id_of(self._data)})
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


def _id_of(data: bytes) -> str:
    try:
        return str(parse("ModelInferRequest", data).id)
    except FoveaError:
        return ""


def _deadline_s(context: grpc.ServicerContext) -> float | None:
    remaining_s = context.time_remaining()
    return None if remaining_s is None or remaining_s > threading.TIMEOUT_MAX else time.monotonic() + remaining_s
