"""What becomes of an inference: its version is found, it passes the door, and its arrays go to the version's engine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fovea.contract.errors import Draining, FoveaError, InvalidRequest, NotFound, NotReady, Unsupported, VersionEnded
from fovea.contract.model_card import ModelCard
from fovea.serving.engines.engine import Engine
from fovea.serving.engines.observer import Observer
from fovea.serving.engines.outcomes import outcome_of
from fovea.serving.engines.queued_request import QueuedRequest
from fovea.serving.engines.reply import Reply
from fovea.serving.inputs.decode_lines import Undecoded
from fovea.serving.inputs.decode_queue import DecodeQueue
from fovea.serving.observability.tracer import Tracer
from fovea.serving.requests.answer import Answer
from fovea.serving.requests.door import Admitted, Door
from fovea.serving.requests.error_text import as_fovea_error
from fovea.serving.requests.header_bound import require_bounded
from fovea.serving.requests.infer_request import InferRequest, RequestHeader
from fovea.serving.requests.response_cache import VersionCache
from fovea.serving.shared_memory.regions import Regions

log = logging.getLogger(__name__)


class Version(Observer, Protocol):
    """A version that answers; see `fovea.serving.lifecycle.served_version`."""

    card: ModelCard
    version: str
    door: Door
    cache: VersionCache | None
    engine: Engine


class Versions(Protocol):
    """Where versions are found; see `fovea.serving.lifecycle.model_table`."""

    @property
    def most_header(self) -> int:
        """Bytes that a request may have beside its data, to the model that needs the most."""

    def ready(self, name: str, version: str) -> Version:
        """The version that answers; NotFound, NotReady, Unsupported or InvalidRequest tell why none does."""


@dataclass(frozen=True)
class Uncounted:
    """Told of requests that no version counts."""

    stray: Callable[[], None]
    """It names a model or version that is not there, or cannot be read."""
    unready: Callable[[str, str], None]
    """It names this version of this model, which is there and not ready."""


class Inference:
    """Every inference of a server, whatever front brought it. May be used by any thread."""

    def __init__(
        self, versions: Versions, decoding: DecodeQueue, regions: Regions, tracer: Tracer, uncounted: Uncounted
    ) -> None:
        self._versions, self._decoding, self._regions = versions, decoding, regions
        self._tracer, self._uncounted = tracer, uncounted
        self.draining = False
        """Whether new requests are refused."""
        self.wants_origins = tracer.wants_origins
        """Whether requests are to say how they came."""

    @property
    def most_header(self) -> int:
        """The most that any request may have beside its data."""
        return self._versions.most_header

    def submit(self, request: InferRequest, reply: Reply[Answer]) -> None:
        """Admit the request or refuse it; never raises, never blocks. What becomes of it, `reply` hears."""
        try:
            self._admit(request, reply)
        except VersionEnded:  # swapped since it was looked up: its successor is in the table
            self.submit(request, reply)
        except Exception as error:
            log.debug("refused: %s", error, extra={"facts": {"model": request.header.model, "request_id": request.id}})
            reply.send(as_fovea_error(error))

    def stray(self) -> None:
        """Count what could not be made a request."""
        self._uncounted.stray()

    def _admit(self, request: InferRequest, reply: Reply[Answer]) -> None:
        arrived_s = time.monotonic()
        header, rows, queued = request.header, 0, None
        try:
            served = self._versions.ready(header.model, header.version)
        except FoveaError as error:
            self._count(error, header)
            self._refused(request, header.version, arrived_s, error)
            raise
        try:
            if request.header_bytes:
                require_bounded(request.header_bytes, served.door.most_header)
            if self.draining:
                raise Draining
            admitted = served.door.admit(request, reply, self._regions)
            rows = admitted.checked.rows
            queued = _queued(admitted, arrived_s)
            if self._tracer.active:
                asked = (served.card.name, served.version, request.id)
                queued.trace = self._tracer.begin(*asked, arrived_s, request.origin)
            self._submit(queued, admitted, served)
        except VersionEnded:
            raise
        except FoveaError as error:
            served.requests(outcome_of(error), [time.monotonic() - arrived_s], rows)
            if queued is None:  # else its trace, if it has one, has ended
                self._refused(request, served.version, arrived_s, error)
            raise

    def _refused(self, request: InferRequest, version: str, arrived_s: float, why: FoveaError) -> None:
        """Trace a request that does not come to the queue."""
        if self._tracer.active:
            self._tracer.refused((request.header.model, version, request.id), arrived_s, request.origin, why)

    def _count(self, error: FoveaError, header: RequestHeader) -> None:
        """Count what reaches no version."""
        if isinstance(error, NotReady | Unsupported):
            self._uncounted.unready(header.model, header.version)
        elif isinstance(error, InvalidRequest | NotFound):
            self._uncounted.stray()

    def _submit(self, queued: QueuedRequest, admitted: Admitted, served: Version) -> None:
        request, checked = admitted.request, admitted.checked
        try:
            request.admits(checked.form, checked.rows)
            if not checked.raw and admitted.decode is None:
                if served.cache is None or not served.cache.answers(queued, admitted):
                    served.engine.submit(queued)
                elif queued.trace is not None:
                    queued.trace.end(time.monotonic())
                return
            admitted.watch()
            queued.alone = False  # who decodes has more to do
            queued.bytes = request.bytes + checked.shared_bytes  # until it is decoded
            again = partial(self._again, admitted)
            places = (served.engine.submit, again, served)
            self._decoding.submit(
                Undecoded(
                    served.card.name,
                    queued,
                    admitted.decode,
                    checked.raw,
                    *places,
                    checked.key_of_arrays,
                    admitted.tell if checked.tells_tokens else None,
                )
            )
        except Exception as error:
            admitted.release()
            if queued.trace is not None and not isinstance(error, VersionEnded):  # its successor's begins anew
                queued.trace.end(time.monotonic(), as_fovea_error(error))
            raise

    def _again(self, admitted: Admitted) -> None:
        admitted.release()  # what it holds of the version that has ended
        self.submit(admitted.request, admitted.reply)


def _queued(admitted: Admitted, arrived_s: float) -> QueuedRequest:
    checked, deadline_s = admitted.checked, admitted.request.deadline_s
    until_s = None if checked.timeout_s is None else arrived_s + checked.timeout_s
    return QueuedRequest(
        admitted.inputs,
        checked.rows,
        checked.batch_key,
        admitted,
        arrived_s,
        deadline_s,
        until_s,
        admitted.bytes,
        checked.priority,
        admitted.request.alone,
    )
