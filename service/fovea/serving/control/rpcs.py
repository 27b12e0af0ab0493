"""The RPCs that are no inference, answered in plain values, whatever front brought them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fovea.contract.errors import InvalidRequest, NotFound, Unsupported
from fovea.serving.control import metadata
from fovea.serving.control.change_requests import load_requested, name_to_unload
from fovea.serving.control.control_requests import AboutModel, AboutRepository, ModelChange, TraceChange
from fovea.serving.control.extensions import Answer, Extensions
from fovea.serving.control.model_config import model_config
from fovea.serving.control.setting_answers import trace_settings
from fovea.serving.control.statistics_answer import model_statistics
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.requested_changes import RequestedChanges
from fovea.serving.lifecycle.served_version import ServedVersion
from fovea.serving.security.access import require_open

LOAD, UNLOAD = "RepositoryModelLoad", "RepositoryModelUnload"
QUICK_RPCS = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady")
"""They take a few microseconds and are answered where they come in: probes wait behind nothing."""
MOST_CONTROL_CALLS = 256
"""Most calls of the other RPCs that are answered or wait at once, in each front, besides loads and unloads."""


class Control:
    """Every RPC but the inferences, over one table of models."""

    def __init__(self, models: Models, changes: RequestedChanges, extensions: Extensions) -> None:
        self._models, self._changes, self._extensions = models, changes, extensions
        self._answers = self._every_answer()
        self.ready = False
        """Set by the server: the models that have to serve do, and no shutdown has begun."""
        self.stopping = False
        """A shutdown has begun: no model is said to be ready, all still answer."""

    @property
    def rpcs(self) -> tuple[str, ...]:
        """Names of the RPCs that are answered here."""
        return (*self._answers, LOAD, UNLOAD)

    def answer(self, rpc: str, request: Any, is_gone: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """The fields of the answer to one of `REQUESTS`, as the protocol names them; raises why there is none.

        `is_gone` tells whether its caller has left.
        """
        require_open(rpc, self._extensions.open_rpcs)
        if rpc == LOAD:
            return self._load_model(request, is_gone)
        if rpc == UNLOAD:
            return self._unload_model(request, is_gone)
        return self._answers[rpc](request)

    def _every_answer(self) -> dict[str, Answer]:
        return {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": lambda _: {"ready": self.ready},
            "ServerMetadata": lambda _: metadata.server_metadata(self._extensions),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": lambda request: model_config(self._served(request)),
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
            **self._extensions.answers(),
            "TraceSetting": self._trace_setting,
        }

    def _trace_setting(self, request: TraceChange) -> dict[str, Any]:
        if request.model_name:
            self._models.entry(request.model_name, "")
        return trace_settings(self._extensions.tracer, request)

    def _served(self, request: AboutModel) -> ServedVersion:
        return self._models.ready(request.name, request.version)

    def _model_ready(self, request: AboutModel) -> dict[str, Any]:
        """Not to be ready is an answer and no error, also where there is no such model or version."""
        try:
            _, entry = self._models.entry(request.name, request.version)
            ready = entry.served is not None and not self.stopping
        except NotFound:
            ready = False
        return {"ready": ready}

    def _model_metadata(self, request: AboutModel) -> dict[str, Any]:
        return metadata.model_metadata(self._served(request), self._models.ready_versions(request.name))

    def _model_statistics(self, request: AboutModel) -> dict[str, Any]:
        if request.version and not request.name:
            raise InvalidRequest("a version without a model name")
        if request.version:
            return model_statistics([self._served(request)])
        if request.name:
            self._models.entry(request.name, "")
        every = self._models.served()
        return model_statistics(one for one in every if request.name in ("", one.card.name))

    def _repository_index(self, request: AboutRepository) -> dict[str, Any]:
        if request.repository_name:
            raise Unsupported(f"there is one repository and it has no name, received '{request.repository_name}'")
        return metadata.repository_index(self._changes.entries(), only_ready=request.ready)

    def _load_model(self, request: ModelChange, is_gone: Callable[[], bool]) -> dict[str, Any]:
        wanted = load_requested(request)
        self._changes.load(wanted, is_gone)
        return {"model_name": wanted.name, "isLoaded": True}

    def _unload_model(self, request: ModelChange, is_gone: Callable[[], bool]) -> dict[str, Any]:
        name = name_to_unload(request)
        self._changes.unload(name, is_gone)
        return {"model_name": name, "isUnloaded": True}
