"""Puts the parts of the server together, says when it is ready, and drains it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from fovea.contract.errors import Misconfigured
from fovea.inputs.pictures import Limits
from fovea.runtime.device import resolve_device
from fovea.serving.addresses import address_of
from fovea.serving.control.rpcs import Control
from fovea.serving.fronts.changes import Changes
from fovea.serving.fronts.grpc.grpc_server import GrpcServer
from fovea.serving.fronts.grpc.health_service import SERVER
from fovea.serving.fronts.rest.app import RestApp
from fovea.serving.fronts.rest.rest_server import RestServer
from fovea.serving.fronts.unix_sockets import remove
from fovea.serving.inputs.decode_queue import DecodeQueue
from fovea.serving.kernel_words import kernel_words
from fovea.serving.lifecycle.model_control import ModelControl
from fovea.serving.lifecycle.model_table import Models
from fovea.serving.lifecycle.readiness import Readiness, in_words
from fovea.serving.lifecycle.version_loader import VersionLoader
from fovea.serving.observability.agent_check import AgentCheck
from fovea.serving.observability.agent_weight import agent_word
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.metrics_server import MetricsServer
from fovea.serving.observability.telemetry import Telemetry
from fovea.serving.observability.triton_cpu_metrics import TritonCpuMetrics
from fovea.serving.observability.triton_metrics import TritonMetrics
from fovea.serving.part_settings import (
    batch_defaults,
    control_settings,
    extensions,
    grpc_settings,
    load_places,
    load_settings,
    response_cache,
    rest_settings,
    tracer,
)
from fovea.serving.requests.inference import Inference, Uncounted
from fovea.serving.security.access import require_open
from fovea.serving.security.certificate_ends import certificate_ends
from fovea.serving.security.tls import read_tls
from fovea.serving.security.token import HEADER, read_tokens
from fovea.serving.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")
_DRAIN_POLL_S = 0.01
_LAST_GRACE_S = 0.5
_SAMPLE_PATIENCE_S = 5.0


class Server:
    """One running server. Listens as soon as it is made; `load` makes it ready, `stop` drains it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = read_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        self._tokens = read_tokens(settings.token_file)
        self.device = resolve_device(settings.device)
        self._telemetry = Telemetry(settings.latency_buckets_s)
        for name, ends_s in certificate_ends(self._tls):
            self._telemetry.certificate(name, ends_s)
        self.models = Models()
        self._readiness = Readiness(settings.ready_when, self.models)
        self._loaded = False
        self._telling = threading.Lock()
        """So that what is told last is what is so."""
        if settings.triton_metrics:
            TritonMetrics(self.models.served, self._telemetry.registry)
            TritonCpuMetrics(self._telemetry.registry)
        self._sampler = AttentionSampler(settings.attention_sample_s)
        cache = response_cache(settings)
        if cache is not None:
            self._telemetry.cache_bytes(lambda: cache.bytes)
        defaults = batch_defaults(settings, cache)
        watched = (self._telemetry, self._sampler)
        places = load_places(self.device)
        loader = VersionLoader(load_settings(settings, self.device), defaults, *watched, places=places)
        self._model_control = ModelControl(control_settings(settings), self.models, loader, self._tell, self._readiness)
        self._decoding = DecodeQueue(defaults.queue, Limits(settings.max_pixels))
        self._tracer = tracer(settings, self._telemetry.exemplify)
        offered = extensions(settings, self._tracer)
        uncounted = Uncounted(self._telemetry.stray_request, self._count_unready)
        self._inference = Inference(self.models, self._decoding, offered.regions, self._tracer, uncounted)
        self._control = Control(self.models, self._model_control.by_request, offered)
        self._changes = Changes()
        doors = (self._inference, self._control, self._changes)
        self.grpc = GrpcServer(grpc_settings(settings, self._tls, self._tokens), *doors, self._telemetry.fault)
        self.metrics = _listening("metrics", settings.metrics_port, self._metrics)
        self.rest = _listening("HTTP", settings.http_port, self._rest)
        port = settings.agent_port
        self.agent = None if port is None else _listening("agent checks", port, self._agent)
        self.grpc.start()

    def _metrics(self, port: int) -> MetricsServer:
        return MetricsServer(self._settings.host, port, self._telemetry.text, self._telemetry.open_text, self._tls)

    def _agent(self, port: int) -> AgentCheck:
        return AgentCheck(self._settings.host, port, self._agent_word)

    def _agent_word(self) -> str:
        return agent_word(self.ready, [one.engine.load for one in self.models.served()])

    def _rest(self, port: int) -> RestServer:
        settings = rest_settings(self._settings, port, self._tls)
        app = RestApp(self._inference, self._control, self._changes, self._admit, settings)
        return RestServer(settings, app.begin)

    def _count_unready(self, name: str, version: str) -> None:
        number, _ = self.models.entry(name, version)
        self._telemetry.unready_request(name, number, partial(self.models.is_unready, name, number))

    def _admit(self, rpc: str, headers: Mapping[str, str]) -> None:
        if self._tokens is not None:
            self._tokens.check(rpc, headers.get(HEADER))
        require_open(rpc, self._settings.open_rpcs)

    def load(self) -> None:
        """Load the models to start with; Misconfigured where the repository cannot be read.

        So it is, with `exit_on_load_failure`, where one of them does not serve.
        """
        self._model_control.start()
        missing = self._readiness.missing
        if missing and self._settings.exit_on_load_failure and not self._control.stopping:
            raise Misconfigured(f"exit_on_load_failure: not served: {in_words(missing)}")
        self._loaded = True
        self._tell()

    def read_again(self) -> None:
        """Look at the models' files again; back at once. Certificates and tokens are looked at all the time."""
        self._model_control.read_again()

    @property
    def ready(self) -> bool:
        """Whether the server is ready, so that balancers should send callers."""
        return self._control.ready

    def _tell(self, *models: str) -> None:
        """Tell the health service of these models, and of the server, as they are now."""
        with self._telling:
            self._readiness.changed(models)
            for name in models:
                self.grpc.health.tell(name, self._serves(name))
            ready = self._loaded and not self._control.stopping and self._readiness.is_enough
            if ready != self._control.ready:
                self._control.ready = ready
                for name in SERVER:
                    self.grpc.health.tell(name, ready)

    def _serves(self, name: str) -> bool | None:
        """Whether a model serves and goes on doing so; None of a model that there is not."""
        model = self.models.entries.get(name)
        return None if model is None else bool(model.ready) and not self._control.stopping

    def facts(self) -> dict[str, str]:
        """Addresses, models and kernels, for the ready line."""
        served = self.models.served()
        types = sorted({kind.value for one in served for kind in one.card.attention_types})
        slow, told = self.grpc.slow_reason, partial(address_of, self._settings.host)
        return {
            "gRPC": told(self.grpc.port),
            "HTTP": told(self.rest.port),
            "metrics": told(self.metrics.port),
            **({"agent": told(self.agent.port)} if self.agent else {}),
            "device": str(self.device),
            "models": ", ".join(sorted({one.card.name for one in served})) or "none",
            "attention": ", ".join(types) or "none",
            "kernels": kernel_words([one.loaded for one in served]),
            **({"not served": ", ".join(missing)} if (missing := self._readiness.missing) else {}),
            **({"no fast lane:": slow} if slow else {}),
        }

    def stop(self) -> bool:
        """Not ready first, after `drain_delay` nothing new, then wait for what is in flight, then end.

        False where something still runs, and the process must end without it.
        """
        self._say_goodbye()
        self._inference.draining = True
        self.grpc.drain_streams()
        self._drain(time.monotonic() + self._settings.drain_timeout)
        self._decoding.close()
        has_ended = self.grpc.stop(_LAST_GRACE_S)
        self.rest.stop(_LAST_GRACE_S)
        self.metrics.stop()
        if self.agent is not None:
            self.agent.stop()
        if self._settings.unix_sockets is not None:
            remove(self._settings.unix_sockets)
        quiet = self._model_control.stop() and self._quiet and has_ended
        if quiet:
            self.models.close()
        self._model_control.close()
        self._tracer.close()
        return self._sampler.close(_SAMPLE_PATIENCE_S) and quiet

    def _say_goodbye(self) -> None:
        """Tell everyone to go elsewhere, begin no change of models, and serve those who have not heard yet."""
        self._control.stopping = True
        self._tell(*self.models.entries)
        self._model_control.stop()
        self._changes.refuse()
        time.sleep(self._settings.drain_delay if self._loaded else 0)

    def _drain(self, until_s: float) -> None:
        unanswered = [*self.grpc.unanswered(), *self.rest.unanswered()]
        while not (self._quiet and all(call.over for call in unanswered)) and time.monotonic() < until_s:
            time.sleep(_DRAIN_POLL_S)

    @property
    def _quiet(self) -> bool:
        """True while no request waits or runs."""
        # Pictures first: what they hand on meanwhile is then seen at its model.
        return self._decoding.quiet and self.models.quiet


def _listening(what: str, port: int, listen: Callable[[int], T]) -> T:
    try:
        return listen(port)
    except OSError as error:
        raise Misconfigured(f"cannot listen on port {port} for {what}: {error.strerror}") from error
