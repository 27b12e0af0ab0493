"""What each part of the server gets of the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fovea.contract.errors import Misconfigured
from fovea.runtime.cores import usable_cores
from fovea.runtime.device import Device
from fovea.runtime.kernel_library import NOT_FOUND, Obstacle, kernels_on_offer
from fovea.runtime.load_places import MOST_PLACES, LoadPlaces
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.probe import ProbeLimits
from fovea.serving.control.extensions import Extensions
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.fronts.grpc.grpc_server import GrpcSettings
from fovea.serving.fronts.grpc.reads import ReadLimits
from fovea.serving.fronts.grpc.transport import Transport
from fovea.serving.fronts.rest.limits import RestLimits
from fovea.serving.fronts.rest.rest_server import RestSettings
from fovea.serving.fronts.unix_sockets import GRPC_SOCKET, HTTP_SOCKET, cleared, listening
from fovea.serving.lifecycle.control_settings import ControlSettings
from fovea.serving.lifecycle.served_version import BatchDefaults
from fovea.serving.observability.access_log import AccessLog
from fovea.serving.observability.log_settings import LogControl
from fovea.serving.observability.trace import TracedRequest, TraceWriter
from fovea.serving.observability.trace_file import TraceFile
from fovea.serving.observability.tracer import Tracer
from fovea.serving.requests.response_cache import ResponseCache
from fovea.serving.security.tls import Tls
from fovea.serving.security.token import Tokens
from fovea.serving.settings import Settings
from fovea.serving.shared_memory.regions import Regions

_MB = 1024 * 1024


def batch_defaults(settings: Settings, cache: ResponseCache | None) -> BatchDefaults:
    """How requests are batched, where a model does not choose for itself."""
    limit = QueueLimit(settings.max_queue, settings.max_queue_mb * _MB)
    return BatchDefaults(settings.queue_delay_ms / 1e3, limit, cache)


def response_cache(settings: Settings) -> ResponseCache | None:
    """The cache of answers, where there is to be one."""
    return ResponseCache(settings.cache_mb * _MB) if settings.cache_mb else None


def load_settings(settings: Settings, device: Device) -> LoadSettings:
    """How versions are loaded, where a model.toml says nothing else."""
    offer = kernels_on_offer(settings.kernels, settings.kernel_library)
    session = SessionSettings(
        device=device,
        intra_op_threads=settings.threads or usable_cores(),
        memory_limit_bytes=settings.gpu_memory_limit_mb * _MB or None,
        kernel_library=offer if isinstance(offer, Path) else None,
    )
    return LoadSettings(
        session=session,
        custom_op_libraries=settings.custom_op_libraries,
        probe=ProbeLimits(settings.trial_s, settings.trial_memory_mb * _MB),
        max_batch_rows=settings.max_batch_rows,
        no_library=offer if isinstance(offer, Obstacle) else NOT_FOUND,
        kernels_required=settings.kernels == "require",
    )


def load_places(device: Device) -> LoadPlaces:
    """For versions that are loaded at once. On a GPU it is one: two would measure each other."""
    return LoadPlaces(min(usable_cores(), MOST_PLACES) if device.kind == "cpu" else 1)


def grpc_settings(settings: Settings, tls: Tls | None, tokens: Tokens | None) -> GrpcSettings:
    """Where and how gRPC listens."""
    transport = Transport(
        settings.max_message_mb * _MB,
        settings.max_streams,
        settings.compression,
        settings.keepalive_s,
        settings.keepalive_timeout_s,
        settings.min_ping_s,
    )
    return GrpcSettings(
        settings.host,
        settings.grpc_port,
        transport,
        settings.handler_threads,
        settings.fast_lane,
        settings.max_infer_streams,
        settings.max_queue,
        ReadLimits(settings.max_queue_mb * _MB, settings.max_message_mb * _MB),
        settings.status_codes,
        tls,
        tokens,
        _unix_socket(settings, GRPC_SOCKET),
    )


def _unix_socket(settings: Settings, name: str) -> Path | None:
    return None if settings.unix_sockets is None else cleared(settings.unix_sockets, name)


def rest_settings(settings: Settings, port: int, tls: Tls | None) -> RestSettings:
    """Where and how HTTP listens."""
    limits = RestLimits(
        body_bytes=settings.max_message_mb * _MB,
        all_bodies_bytes=settings.max_queue_mb * _MB,
        json_bytes=settings.max_json_mb * _MB,
        connections=settings.max_http_connections,
    )
    path = _unix_socket(settings, HTTP_SOCKET)
    return RestSettings(
        settings.host, port, limits, settings.status_codes, tls, None if path is None else listening(path)
    )


def tracer(settings: Settings, exemplify: Callable[[TracedRequest, str], None]) -> Tracer:
    """Who traces requests, and where to; `exemplify` hears of those whose trace has an id.

    Misconfigured where spans are to be sent and OpenTelemetry is missing.
    """
    if settings.trace_rate and settings.trace_file is None and settings.trace_otlp is None:
        raise Misconfigured("trace_rate: there is nowhere to write traces to without trace_file or trace_otlp")
    file = None if settings.trace_file is None else TraceFile(settings.trace_file)
    spans = None if settings.trace_otlp is None else _spans(settings.trace_otlp, exemplify)
    access = AccessLog() if settings.access_log else None
    return Tracer(file, spans, access, settings.trace_rate)


def _spans(address: str, exemplify: Callable[[TracedRequest, str], None]) -> TraceWriter:
    try:
        from fovea.serving.observability.trace_spans import SpanWriter, exporter
    except ImportError as error:
        raise Misconfigured(f"trace_otlp needs OpenTelemetry: pip install 'fovea-serving[otel]' ({error})") from error
    return SpanWriter(exporter(address), exemplify)


def extensions(settings: Settings, tracer: Tracer) -> Extensions:
    """What there is beside inference, and who may use it."""
    regions = Regions(settings.open_rpcs, settings.max_queue_mb * _MB)
    explicit = settings.control_mode == "explicit"
    return Extensions(settings.server_name, settings.open_rpcs, explicit, regions, tracer, LogControl())


def control_settings(settings: Settings) -> ControlSettings:
    """Which models are served, and how they come and go."""
    return ControlSettings(
        settings.repository, settings.control_mode, settings.poll_s, settings.load_models, settings.drain_timeout
    )
