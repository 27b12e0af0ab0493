"""The RPCs of the Open Inference Protocol, each answered through a `Call`, whatever transport brought it."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from fovea.contract.errors import Draining, FoveaError, InvalidRequest, NotFound, NotReady, Unsupported, VersionEnded
from fovea.contract.model_card import ModelCard
from fovea.serving.calls import Call, CallReply, StatusTable
from fovea.serving.control import metadata
from fovea.serving.control.extensions import Answer, Extensions
from fovea.serving.control.model_config import model_config
from fovea.serving.control.statistics_answer import model_statistics
from fovea.serving.engines.batching.requests import Request
from fovea.serving.engines.outcomes import outcome_of
from fovea.serving.inputs.decode_lines import Undecoded
from fovea.serving.inputs.decode_queue import DecodeQueue
from fovea.serving.lifecycle.load_request import load_requested, name_to_unload
from fovea.serving.lifecycle.model_control import ModelControl
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.messages.codec import Decoded, parse_request, parse_small
from fovea.serving.messages.header_size import header_too_large
from fovea.serving.messages.sending import ANYTHING, Sending
from fovea.serving.observability.telemetry import Telemetry
from fovea.serving.security.access import require_open
from fovea.serving.status import status_of
from fovea.wire import message

log = logging.getLogger(__name__)
QUICK_RPCS = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady")
"""They take a few microseconds and are answered where they come in: probes wait behind nothing."""
MOST_CONTROL_CALLS = 256
"""Of the others, and of each front, so many are answered or wait, besides loads and unloads."""


class Servicer:
    """Every RPC of the service over one table of models."""

    def __init__(
        self,
        models: Models,
        control: ModelControl,
        decoding: DecodeQueue,
        telemetry: Telemetry,
        table: StatusTable,
        extensions: Extensions,
    ) -> None:
        self._models, self._model_control, self._decoding = models, control, decoding
        self._telemetry, self._table, self._extensions = telemetry, table, extensions
        self._regions, self._tracer = extensions.regions, extensions.tracer
        self._control = self._control_answers()
        self.ready = False
        """Set by the server: the models that have to serve do, and no shutdown has begun."""
        self.stopping = False
        """A shutdown has begun: no model is said to be ready, all still answer."""
        self.draining = False
        """New requests are refused."""

    def infer(self, call: Call, data: bytes, sending: Sending = ANYTHING) -> None:
        """ModelInfer: admit the request or refuse it; never raises, never blocks."""
        try:
            self._admit(call, data, sending)
        except VersionEnded:  # swapped since it was looked up: its successor is in the table
            self.infer(call, data, sending)
        except Exception as error:
            log.debug("refused: %s", error)
            call.refuse(*status_of(error, self._table))

    def _admit(self, call: Call, data: bytes, sending: Sending) -> None:
        arrived_s = time.monotonic()
        message_in, served, header_bytes = self._addressed(data)
        rows = 0
        try:
            if header_bytes > served.door.most_header:
                raise header_too_large(served.door.most_header)
            if self.draining:
                raise Draining
            decoded = served.door.decode(message_in, self._regions)
            rows = decoded.header.rows
            decoded.admit(sending)
            request = self._request(call, decoded, arrived_s)
            if self._tracer.active:
                model, version = served.card.name, served.version
                request.trace = self._tracer.begin(model, version, decoded.request_id, arrived_s)
            self._submit(call, data, request, decoded, served)
        except VersionEnded:
            raise
        except FoveaError as error:
            served.requests(outcome_of(error), [time.monotonic() - arrived_s], rows)
            raise

    def _submit(self, call: Call, data: bytes, request: Request, decoded: Decoded, served: ServedVersion) -> None:
        try:
            if decoded.header.pictures is None and decoded.decode is None:
                if served.cache is None or not served.cache.answers(request, decoded, call.finish):
                    served.engine.submit(request)
                elif request.trace is not None:
                    request.trace.end(time.monotonic())
                return
            call.watch()
            request.bytes = len(data) + decoded.header.shared_bytes  # until it is decoded
            again = partial(self._again, call, data, decoded, request)
            pictures, onward = decoded.header.pictures, served.engine.submit
            self._decoding.submit(
                Undecoded(served.card.name, request, decoded.decode, pictures, onward, again, observer=served)
            )
        except FoveaError:
            _end(request, decoded)
            raise

    def _again(self, call: Call, data: bytes, decoded: Decoded, request: Request) -> None:
        _end(request, decoded)  # of its way through the version that has ended; its successor's begins anew
        self.infer(call, data, decoded.sending)

    def _addressed(self, data: bytes) -> tuple[Any, ServedVersion, int]:
        """The message, the version it is for, and its bytes beside the data, 0 where they cannot be many."""
        try:
            message_in, header_bytes = parse_request(data, self._models.most_header)
            served = self._models.ready(message_in.model_name, message_in.model_version)
            return message_in, served, header_bytes
        except (InvalidRequest, NotFound):
            self._telemetry.stray_request()
            raise
        except (NotReady, Unsupported):
            name = message_in.model_name
            number, _ = self._models.entry(name, message_in.model_version)
            self._telemetry.unready_request(name, number, partial(self._models.is_unready, name, number))
            raise

    def _request(self, call: Call, decoded: Decoded, arrived_s: float) -> Request:
        header = decoded.header
        reply = CallReply(call, decoded, self._table)
        until_s = None if header.timeout_s is None else arrived_s + header.timeout_s
        times_s = (arrived_s, call.deadline_s, until_s)
        return Request(decoded.inputs, header.rows, header.kind, reply, *times_s, decoded.bytes, header.priority)

    def control(self, rpc: str, call: Call, data: bytes) -> None:
        """Any RPC but ModelInfer: answer it or refuse it; never raises."""
        try:
            require_open(rpc, self._extensions.open_rpcs)
            answer = self._control[rpc](parse_small(f"{rpc}Request", data))
            call.finish(answer.SerializeToString())
        except Exception as error:
            log.debug("refused: %s", error)
            call.refuse(*status_of(error, self._table))

    @property
    def control_rpcs(self) -> tuple[str, ...]:
        """The RPCs that `control` answers."""
        return tuple(self._control)

    def _control_answers(self) -> dict[str, Answer]:
        return {
            "ServerLive": lambda _: message("ServerLiveResponse")(live=True),
            "ServerReady": lambda _: message("ServerReadyResponse")(ready=self.ready),
            "ServerMetadata": lambda _: metadata.server_metadata(self._extensions.names()),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": lambda request: model_config(self._served(request)),
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
            "RepositoryModelLoad": self._load_model,
            "RepositoryModelUnload": self._unload_model,
            **self._extensions.answers(),
            "TraceSetting": self._trace_setting,
        }

    def _trace_setting(self, request: Any) -> Any:
        if request.model_name:
            self._models.entry(request.model_name, "")
        return self._tracer.change(request)

    def _served(self, request: Any) -> ServedVersion:
        return self._models.ready(request.name, request.version)

    def card(self, model: str, version: str) -> ModelCard:
        """What is known of the version that would answer; NotFound, NotReady or InvalidRequest where none would."""
        return self._models.ready(model, version).card

    def _model_ready(self, request: Any) -> Any:
        """Not to be ready is an answer and no error, also where there is no such model or version."""
        try:
            _, entry = self._models.entry(request.name, request.version)
            ready = entry.served is not None and not self.stopping
        except NotFound:
            ready = False
        return message("ModelReadyResponse")(ready=ready)

    def _model_metadata(self, request: Any) -> Any:
        return metadata.model_metadata(self._served(request), self._models.ready_versions(request.name))

    def _model_statistics(self, request: Any) -> Any:
        if request.version and not request.name:
            raise InvalidRequest("a version without a model name")
        if request.version:
            return model_statistics([self._served(request)])
        if request.name:
            self._models.entry(request.name, "")
        every = self._models.served()
        return model_statistics(one for one in every if request.name in ("", one.card.name))

    def _repository_index(self, request: Any) -> Any:
        if request.repository_name:
            raise Unsupported(f"there is one repository and it has no name, received '{request.repository_name}'")
        return metadata.repository_index(self._model_control.entries(), only_ready=request.ready)

    def _load_model(self, request: Any) -> Any:
        wanted = load_requested(request)
        self._model_control.load(wanted)
        return message("RepositoryModelLoadResponse")(model_name=wanted.name, isLoaded=True)

    def _unload_model(self, request: Any) -> Any:
        name = name_to_unload(request)
        self._model_control.unload(name)
        return message("RepositoryModelUnloadResponse")(model_name=name, isUnloaded=True)


def _end(request: Request, decoded: Decoded) -> None:
    """Let go of what a request holds that this version will not answer."""
    decoded.release()
    if request.trace is not None:
        request.trace.end(time.monotonic())
