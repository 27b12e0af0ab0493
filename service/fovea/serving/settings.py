"""The server's settings: every flag of `fovea serve`, each also a variable FOVEA_<NAME>. Read here and nowhere else."""

from __future__ import annotations

import re
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from fovea.serving.environment import FromVariables
from fovea.serving.observability.logs import LogFormat
from fovea.serving.observability.metrics import LATENCY_BUCKETS_S
from fovea.serving.security.access import Group


class Settings(FromVariables):
    """One frozen value, made at start; each field's description tells its trade-off."""

    repository: Path = Field(Path("exported_models"), description="Folder of models: <model>/<version>/model.onnx.")
    control_mode: Literal["none", "poll", "explicit"] = Field(
        "none",
        description="What makes models come and go. none: they are loaded at start. poll: changes of the repository "
        "are followed. Both try again, ever less often, what failed for a reason that may pass (too little memory, "
        "say). explicit: callers load and unload them (see open_rpcs).",
    )
    poll_s: float = Field(
        5.0,
        gt=0,
        le=86_400,
        description="With poll: seconds between looks. A change is followed once two looks see the same files. Fewer "
        "follow it sooner, and list the repository more often. Loads that failed for a passing reason are tried again "
        "no more often than this, in none too.",
    )
    load_models: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(), description="With explicit: models to load at start, with commas between; * loads every one."
    )
    ready_when: Literal["all", "any", "loaded"] = Field(
        "all",
        description="When the server is ready, over gRPC and HTTP. all: each model that was chosen at start, or has "
        "served since, has a version that serves; one that was unloaded does not count. any: one of them has. loaded: "
        "loading is over, whatever came of it. With all, a broken model keeps traffic from the others too; without, "
        "its callers get errors.",
    )
    exit_on_load_failure: bool = Field(
        False,
        description="End with status 1 where a model that was chosen at start does not serve. A rollout then fails at "
        "once; but a restart with a broken model among many takes down them all.",
    )
    open_rpcs: Annotated[frozenset[Group], NoDecode] = Field(
        frozenset(),
        description="Groups of calls to open, with commas between: model_control, shared_memory, logging, trace. Each "
        "lets callers change what others get; open them only to callers you trust.",
    )
    server_name: str = Field(
        "triton",
        min_length=1,
        description="What ServerMetadata calls this server. Clients made for Triton look for triton.",
    )
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. 0.0.0.0, or :: for IPv6 and IPv4, opens the server to the network, to "
        "everyone unless a token_file or a tls_client_ca says whom to let in.",
    )
    grpc_port: int = Field(8001, ge=0, le=65535, description="Port of the gRPC service; 0 picks a free one.")
    http_port: int = Field(8000, ge=0, le=65535, description="Port of the same service over HTTP; 0 picks a free one.")
    metrics_port: int = Field(8002, ge=0, le=65535, description="Port of /metrics for Prometheus; 0 picks a free one.")
    agent_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on which a balancer such as HAProxy asks how much to send here (agent-check): a weight that "
        "falls as work waits, or drain; 0 picks a free one. Neither TLS nor tokens hold there, and whoever reaches it "
        "learns how busy the server is. See fovea cluster.",
    )
    unix_sockets: Path | None = Field(
        None,
        description="Folder for the sockets grpc.sock and http.sock, through which callers on this machine whose user "
        "or group is the server's reach both services without a port. TLS and tokens hold there too. The ports stay.",
    )
    tls_cert: Path | None = Field(
        None,
        description="Certificate (PEM, with its chain): gRPC, HTTP and /metrics then speak only TLS. A renewed one is "
        "taken for new connections, without a restart. Each connection costs about a millisecond.",
    )
    tls_key: Path | None = Field(None, description="Key (PEM, without a password) of tls_cert.")
    tls_client_ca: Path | None = Field(
        None,
        description="Mutual TLS: callers of all three ports, probes and Prometheus too, show a certificate that this "
        "authority (PEM) has signed.",
    )
    token_file: Path | None = Field(
        None,
        description="File of tokens, one a line: callers bring one as authorization: Bearer <token>. Health checks and "
        "/metrics need none. A change counts within a second. Without TLS whoever listens on the network reads them.",
    )
    device: str = Field(
        "auto",
        description="auto, cpu, cuda or cuda:N. auto takes a GPU where one is usable, else the CPU; cuda fails where "
        "there is none, so that nobody is slow unawares.",
    )
    threads: int = Field(
        0,
        ge=0,
        description="Threads one run may use; 0 = one per core, as far as affinity mask and CPU quota (container "
        "limits) grant them. More quickens one run at its neighbours' cost.",
    )
    custom_op_libraries: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Libraries of operators that models may choose by file name in model.toml, with commas between "
        "(onnxruntime-extensions, say). They have all the server's rights: name only those that you trust.",
    )
    trial_s: int = Field(
        20,
        ge=1,
        le=86_400,
        description="Seconds that a version may take in the process that tries it before it is opened, less what it "
        "waits for a processor; every 50 MB of its files add one. More let slow models in; fewer end one that hangs "
        "sooner.",
    )
    trial_memory_mb: int = Field(
        6144,
        ge=256,
        description="Address space that it may take there; three times its files' size comes on top.",
    )
    gpu_memory_limit_mb: int = Field(
        0,
        ge=0,
        description="Most GPU memory for each session's arena; 0 = no limit. A limit protects neighbours.",
    )
    max_batch_rows: int = Field(
        32,
        ge=1,
        le=4096,
        description="Most rows in a batch, where the model is silent. More: throughput; fewer: latency.",
    )
    queue_delay_ms: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="How long an idle model may wait for a batch to fill; 0 never waits. It is never longer than the "
        "measured batch costs can repay.",
    )
    max_queue: int = Field(
        1024, ge=1, description="Most requests waiting per model version. More survives bursts; fewer refuses sooner."
    )
    max_queue_mb: int = Field(
        1024, ge=1, description="Most megabytes of input waiting per model version; what one flood can take of memory."
    )
    cache_mb: int = Field(
        0,
        ge=0,
        le=1 << 20,
        description="Megabytes of answers to keep, for models whose model.toml says cache = true; 0 = none. The same "
        "request is then answered without a run; a new one of up to 1 MB takes a digest longer. Larger ones, pictures, "
        "texts in place of tokens, and more than 4096 texts or typed numbers are not looked for. How quick an answer "
        "is tells one caller that another has asked the same.",
    )
    max_message_mb: int = Field(
        64,
        ge=1,
        le=2047,
        description="Largest request or answer. Larger tensors need more, and so does each caller's memory.",
    )
    max_json_mb: int = Field(
        8,
        ge=1,
        le=256,
        description="Largest JSON over HTTP. Parsing it holds everybody up, 15 to 60 ms a megabyte, the longer the "
        "more numbers are in it, and up to 130 for objects and lists; larger tensors travel as binary data.",
    )
    max_streams: int = Field(
        4096,
        ge=1,
        le=1 << 20,
        description="Most calls at once on one gRPC connection; further ones wait at the caller, unseen by the queue.",
    )
    compression: Literal["none", "gzip", "deflate"] = Field(
        "none",
        description="How gRPC answers are compressed where the caller accepts it: for slow networks. Tensors hardly "
        "shrink, and it costs up to 50 ms a megabyte. Compressed requests are always understood.",
    )
    keepalive_s: float = Field(
        60.0,
        ge=0,
        le=86_400,
        description="Seconds after which a silent gRPC connection is asked whether its peer is still there; 0 never "
        "asks, and who vanished without a word keeps its connection.",
    )
    keepalive_timeout_s: float = Field(
        20.0,
        gt=0,
        le=3600,
        description="Seconds that the peer has for an answer before its connection is closed. Fewer free its place "
        "sooner; more forgive a slow network.",
    )
    min_ping_s: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="Callers that ask the same of the server more often than this are cut off: keep it below their "
        "keepalive time. A lower value lets a connection send more pings.",
    )
    max_pixels: int = Field(
        1 << 24,
        ge=1,
        le=1 << 28,
        description="Most pixels in a PNG or JPEG that a model takes; while it is decoded, each takes up to 20 bytes.",
    )
    max_http_connections: int = Field(
        512,
        ge=1,
        description="Most open HTTP connections; each holds a file descriptor, of which gRPC needs some too.",
    )
    drain_delay: float = Field(
        0.0,
        ge=0,
        description="On SIGTERM, seconds to go on serving after readiness is false, for balancers to look away; in "
        "Kubernetes 5. A second SIGTERM ends the process at once.",
    )
    drain_timeout: float = Field(
        30.0,
        ge=0,
        description="On SIGTERM, seconds that requests in flight may then take to finish before they are cancelled.",
    )
    status_codes: Literal["triton", "grpc"] = Field(
        "triton",
        description="Code of a full queue and a queue timeout: triton says UNAVAILABLE to both, "
        "grpc RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED.",
    )
    fast_lane: bool = Field(
        True,
        description="Take calls in on gRPC's own serving loop. Off: ordinary handlers, slower, same answers.",
    )
    handler_threads: int = Field(
        32,
        ge=2,
        le=1024,
        description="Threads for every other call, and for ModelInfer where the fast lane is off. More let more calls "
        "wait side by side, each with a thread's memory.",
    )
    max_infer_streams: int = Field(
        64,
        ge=1,
        le=1024,
        description="Most open ModelStreamInfer calls; off the fast lane each holds two threads, idle or not.",
    )
    attention_sample_s: float = Field(
        30.0,
        ge=0,
        description="Seconds between samples of attention time where no kernel tells it; 0 = off. "
        "Each sample opens a session and runs six batches. On a GPU there are none: a profile there has launch times.",
    )
    triton_metrics: bool = Field(
        False,
        description="Show Triton's nv_inference_*, nv_cache_* and nv_cpu_* metrics too, for dashboards that use them; "
        "two dozen series a model version.",
    )
    latency_buckets_s: Annotated[tuple[float, ...], NoDecode] = Field(
        LATENCY_BUCKETS_S,
        min_length=1,
        max_length=64,
        description="Bounds in seconds, ascending, of the latency histograms' buckets, with commas between. More tell "
        "percentiles more exactly, each for a line of /metrics in every series. The alerts that ship need 0.1.",
    )
    kernels: Literal["auto", "require", "off"] = Field(
        "auto",
        description="Fused attention kernels. auto: where they are right and win a race against the plain bodies. "
        "require: without a race; no library is an error, and a model whose kernels fail is not served (its maps "
        "still may come from the bodies). off: never looked for.",
    )
    kernel_library: Path | None = Field(
        None,
        description="Library of fused attention kernels; where not given, the one that was built is used if there. It "
        "has all the server's rights: name only one that you trust.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important log line that is written. debug names every refused request."
    )
    log_format: LogFormat = Field(
        "auto",
        description="json: a log line is one JSON object, and standard output has one ready line. text: both are laid "
        "out for people. auto: text on a terminal, json elsewhere.",
    )
    trace_file: Path | None = Field(
        None,
        description="Where traces of single requests go, a line of JSON each. Which requests, callers say while the "
        "server runs (TraceSetting), once open_rpcs has trace.",
    )
    trace_otlp: str | None = Field(
        None,
        pattern=r"^(https?|grpcs?)://[^/\s]+(/\S*)?$",
        description="An OpenTelemetry collector that traces of single requests are sent to as spans: http://HOST:4318, "
        "https://…, grpc://HOST:4317 or grpcs://…; needs the extra otel. Requests whose caller traces them "
        "(traceparent, W3C Trace Context) are, those whose caller says that she does not are not; of others, "
        "one out of trace_rate.",
    )
    trace_rate: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        description="One request out of so many is traced from the start; 0 = none, until TraceSetting says otherwise.",
    )
    access_log: bool = Field(
        False,
        description="Write a log line, of level info, for each request that could be read, when it has ended: model, "
        "outcome, milliseconds, code, its id.",
    )

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, value: str) -> str:
        if re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) is None:
            raise ValueError("expected auto, cpu, cuda or cuda:N")
        return value

    @field_validator("unix_sockets")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"there is no folder {value}")
        return value

    @field_validator("trace_file")
    @classmethod
    def _has_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.parent.is_dir():
            raise ValueError(f"there is no folder {value.parent}")
        return value

    @field_validator("custom_op_libraries")
    @classmethod
    def _are_files(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        if missing := [str(path) for path in value if not path.is_file()]:
            raise ValueError(f"there is no file {missing[0]}")
        return tuple(path.absolute() for path in value)

    @field_validator("latency_buckets_s")
    @classmethod
    def _ascend(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(lower < upper < inf for lower, upper in pairwise((0.0, *value))):
            raise ValueError("expected finite numbers above 0, each larger than the one before")
        return value

    @field_validator("load_models", "open_rpcs", "custom_op_libraries", "latency_buckets_s", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
