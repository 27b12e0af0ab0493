"""ModelStreamInfer: many requests and their answers on one call, for as long as the client likes."""

from __future__ import annotations

import threading

import grpc

from fovea.contract.errors import Draining
from fovea.serving.fronts.grpc.status import status_of
from fovea.serving.fronts.grpc.stream import Infer, Stream, StreamLimits, StreamTransport
from fovea.serving.fronts.grpc.stream_call import StreamCall

DRAINING = status_of(Draining())


class Streams:
    """The open streams of a server. For any thread."""

    def __init__(self, infer: Infer, limits: StreamLimits) -> None:
        self.infer, self.limits = infer, limits
        self._open: set[Stream] = set()
        self._lock = threading.Lock()
        self._draining = False

    def new(self, deadline_s: float | None, transport: StreamTransport) -> Stream:
        """A stream that is not open yet."""
        return Stream(self.infer, deadline_s, self.limits, transport)

    def open(self, stream: Stream) -> tuple[grpc.StatusCode, str] | None:
        """Let a stream in; raises why it cannot be."""
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                self._open.add(stream)
        return refusal

    def close(self, stream: Stream) -> None:
        """Its call is over, if it was ever let in."""
        with self._lock:
            self._open.discard(stream)
        stream.leave()

    def unanswered(self) -> list[StreamCall]:
        """The requests that have been read and whose last answer has not been sent."""
        return [call for stream in self._open.copy() for call in stream.calls()]

    def drain(self) -> None:
        """Let none in any more, and end every stream once what it has in flight is answered."""
        with self._lock:
            self._draining = True
            streams = list(self._open)
        for stream in streams:
            stream.drain()

    def _refusal(self) -> tuple[grpc.StatusCode, str] | None:
        if self._draining:
            return DRAINING
        if len(self._open) >= self.limits.streams:
            text = f"{len(self._open)} streams are open, the limit is {self.limits.streams} (--max-infer-streams)"
            return grpc.StatusCode.RESOURCE_EXHAUSTED, text
        return None
