"""`fovea serve`: puts the parts together, says when it is ready, and drains on SIGTERM."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TypeVar

from fovea import __version__
from fovea.contract.errors import Misconfigured
from fovea.runtime.device import Device, resolve_device
from fovea.runtime.kernel_library import NOT_FOUND, Obstacle, kernels_on_offer
from fovea.runtime.loading import LoadSettings
from fovea.runtime.session import SessionSettings
from fovea.serving.addresses import address_of
from fovea.serving.attention_sampler import AttentionSampler
from fovea.serving.extensions import Extensions
from fovea.serving.grpc_server import GrpcServer, GrpcSettings
from fovea.serving.kernel_words import kernel_words
from fovea.serving.logs import LogControl, set_up_logs
from fovea.serving.metrics_server import MetricsServer
from fovea.serving.model_control import ControlSettings, ModelControl
from fovea.serving.models import Models
from fovea.serving.picture_queue import PictureQueue
from fovea.serving.pipeline import QueueLimit
from fovea.serving.response_cache import ResponseCache
from fovea.serving.rest.limits import RestLimits
from fovea.serving.rest.server import RestServer, RestSettings
from fovea.serving.served_version import BatchDefaults
from fovea.serving.servicer import Servicer
from fovea.serving.settings import Settings
from fovea.serving.shared_memory import Regions
from fovea.serving.status import status_table
from fovea.serving.telemetry import Telemetry
from fovea.serving.tls import Tls, read_tls
from fovea.serving.token import HEADER, Tokens, read_tokens
from fovea.serving.trace import Tracer
from fovea.serving.transport import Transport
from fovea.serving.triton_metrics import TritonMetrics
from fovea.serving.version_loader import VersionLoader
from fovea.wire import SERVICE

log = logging.getLogger(__name__)
T = TypeVar("T")
_MB = 1024 * 1024
_DRAIN_POLL_S = 0.01
_LAST_GRACE_S = 0.5
_SAMPLE_PATIENCE_S = 5.0
_LOADED = b"\0"
"""No signal has this number."""


class Server:
    """One running server. Listens as soon as it is made; `load` makes it ready, `stop` drains it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = read_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        self._tokens = read_tokens(settings.token_file)
        self.device = resolve_device(settings.device)
        self._telemetry = Telemetry()
        self.models = Models()
        if settings.triton_metrics:
            TritonMetrics(self.models.served, self._telemetry.registry)
        self._sampler = AttentionSampler(settings.attention_sample_s)
        limit = QueueLimit(settings.max_queue, settings.max_queue_mb * _MB)
        cache = ResponseCache(settings.cache_mb * _MB) if settings.cache_mb else None
        if cache is not None:
            self._telemetry.cache_bytes(lambda: cache.bytes)
        defaults = BatchDefaults(settings.queue_delay_ms / 1e3, limit, cache)
        loader = VersionLoader(load_settings(settings, self.device), defaults, self._telemetry, self._sampler)
        self._control = ModelControl(_control_settings(settings), self.models, loader, self._tell)
        pictures = PictureQueue(defaults.queue, settings.max_pixels)
        table = status_table(settings.status_codes)
        parts = (self.models, self._control, pictures, self._telemetry, table)
        self._tracer = Tracer(settings.trace_file)
        self._servicer = Servicer(*parts, _extensions(settings, self._tracer))
        self.grpc = GrpcServer(_grpc_settings(settings, self._tls, self._tokens), self._servicer)
        self.metrics = _listening("metrics", settings.metrics_port, self._metrics)
        self.rest = _listening("HTTP", settings.http_port, self._rest)
        self.grpc.start()

    def _metrics(self, port: int) -> MetricsServer:
        return MetricsServer(self._settings.host, port, self._telemetry.registry, self._tls)

    def _rest(self, port: int) -> RestServer:
        settings = _rest_settings(self._settings, port, self._tls)
        return RestServer(settings, self._servicer, self._admit, self._telemetry.stray_request)

    def _admit(self, rpc: str, headers: Mapping[str, str]) -> None:
        if self._tokens is not None:
            self._tokens.check(rpc, headers.get(HEADER))

    def load(self) -> None:
        """Load the models to start with; Misconfigured where the repository cannot be read."""
        self._control.start()
        self._servicer.ready = not self._servicer.stopping
        self._tell("", True)
        self._tell(SERVICE, True)

    def _tell(self, name: str, serving: bool) -> None:
        """Tell the health service of a model, of the service, or of all ("")."""
        self.grpc.set_serving({name: serving and not self._servicer.stopping})

    def ready_line(self) -> str:
        """What is up, where: one line."""
        served = self.models.served()
        types = sorted({kind.value for one in served for kind in one.card.attention_types})
        kernels = kernel_words([one.loaded for one in served])
        slow, told = self.grpc.slow_reason, partial(address_of, self._settings.host)
        return (
            f"fovea {__version__} ready: gRPC {told(self.grpc.port)}, HTTP {told(self.rest.port)}, "
            f"metrics {told(self.metrics.port)}, device {self.device}, "
            f"models {', '.join(sorted({one.card.name for one in served})) or 'none'}, "
            f"attention {', '.join(types) or 'none'}, kernels {kernels}" + (f", no fast lane: {slow}" if slow else "")
        )

    def stop(self) -> bool:
        """Not ready first, after `drain_delay` nothing new, then wait for what is in flight, then end.

        False where something still runs, and the process must end without it.
        """
        self._say_goodbye()
        self._servicer.draining = True
        self.grpc.drain_streams()
        self._drain(time.monotonic() + self._settings.drain_timeout)
        self.grpc.stop(_LAST_GRACE_S)
        self.rest.stop(_LAST_GRACE_S)
        self.metrics.stop()
        quiet = self._control.stop() and self.models.quiet
        if quiet:
            self.models.close()
        self._control.close()
        self._tracer.close()
        return self._sampler.close(_SAMPLE_PATIENCE_S) and quiet

    def _say_goodbye(self) -> None:
        """Tell everyone to go elsewhere, begin no change of models, and serve those who have not heard yet."""
        was_ready, self._servicer.ready, self._servicer.stopping = self._servicer.ready, False, True
        self.grpc.set_serving({"": False, SERVICE: False} | dict.fromkeys(self.models.entries, False))
        self._control.stop()
        self.grpc.refuse_changes()
        self.rest.refuse_changes()
        time.sleep(self._settings.drain_delay if was_ready else 0)

    def _drain(self, until_s: float) -> None:
        unanswered = [*self.grpc.unanswered(), *self.rest.unanswered()]
        while not (self.models.quiet and all(call.over for call in unanswered)) and time.monotonic() < until_s:
            time.sleep(_DRAIN_POLL_S)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. Misconfigured where it cannot start."""
    set_up_logs(settings.log_level)
    _allow_many_connections()
    signals, wake = _signals()
    server = Server(settings)
    loaded = _begin(server.load)
    loaded.add_done_callback(lambda _: wake.send(_LOADED))
    try:
        if signals.recv(1) == _LOADED:
            loaded.result()
            print(server.ready_line(), flush=True)
            signals.recv(1)
        log.info("draining")
    finally:
        clean = server.stop()
    log.info("stopped" if clean else "stopped; a run that did not end was left behind")
    if not clean:  # its thread would be cut down in the middle of native code, which aborts the process
        logging.shutdown()
        os._exit(0)
    return 0


def _allow_many_connections() -> None:
    """Each connection takes a descriptor, and most systems begin with 1,024: take what may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _begin(work: Callable[[], None]) -> Future[None]:
    """Run on a thread that nobody has to wait for."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, daemon=True, name="start").start()
    return done


def _signals() -> tuple[socket.socket, socket.socket]:
    """A socket that gets a byte for each SIGTERM and SIGINT, and its other end; asked twice, the process ends at once.

    The interpreter writes the byte in the signal handler itself. A lock or a queue, waited for here, could miss a
    signal that arrives between the interpreter's last look and the wait.
    """
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno())
    asked: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if asked:
            os._exit(1)
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return read, write


def _listening(what: str, port: int, listen: Callable[[int], T]) -> T:
    try:
        return listen(port)
    except OSError as error:
        raise Misconfigured(f"cannot listen on port {port} for {what}: {error.strerror}") from error


def load_settings(settings: Settings, device: Device) -> LoadSettings:
    """How versions are loaded, where a model.toml says nothing else."""
    offer = kernels_on_offer(settings.kernels, settings.kernel_library)
    session = SessionSettings(
        device=device,
        intra_op_threads=settings.threads or len(os.sched_getaffinity(0)),
        memory_limit_bytes=settings.gpu_memory_limit_mb * _MB or None,
        kernel_library=offer if isinstance(offer, Path) else None,
    )
    return LoadSettings(
        session=session,
        max_batch_rows=settings.max_batch_rows,
        no_library=offer if isinstance(offer, Obstacle) else NOT_FOUND,
        kernels_required=settings.kernels == "require",
    )


def _grpc_settings(settings: Settings, tls: Tls | None, tokens: Tokens | None) -> GrpcSettings:
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
        tls,
        tokens,
    )


def _rest_settings(settings: Settings, port: int, tls: Tls | None) -> RestSettings:
    limits = RestLimits(
        body_bytes=settings.max_message_mb * _MB,
        all_bodies_bytes=settings.max_queue_mb * _MB,
        json_bytes=settings.max_json_mb * _MB,
        connections=settings.max_http_connections,
    )
    return RestSettings(settings.host, port, limits, tls)


def _extensions(settings: Settings, tracer: Tracer) -> Extensions:
    regions = Regions(settings.open_rpcs, settings.max_queue_mb * _MB)
    return Extensions(settings.open_rpcs, settings.control_mode == "explicit", regions, tracer, LogControl())


def _control_settings(settings: Settings) -> ControlSettings:
    return ControlSettings(
        settings.repository, settings.control_mode, settings.poll_s, settings.load_models, settings.drain_timeout
    )
