"""What `fovea doctor` looks at where a server would run: versions, machine, device, kernels, ports, every model."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnxruntime

from fovea import __version__
from fovea.cli.findings import Finding, costs
from fovea.cli.setting_flags import variables
from fovea.contract.errors import FoveaError, Misconfigured
from fovea.runtime.attention_share import attention_share
from fovea.runtime.cores import usable_cores
from fovea.runtime.device import cuda_obstacle, resolve_device
from fovea.runtime.kernel_library import kernels_on_offer
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.loading import load_chosen
from fovea.runtime.processor import this_processor
from fovea.runtime.repository import ModelFolder, chosen_versions, has_models, no_model_in, scan, why_none
from fovea.serving import environment
from fovea.serving.addresses import address_of, listeners
from fovea.serving.fronts.grpc import fast_lane
from fovea.serving.lifecycle.triton_config import read_config
from fovea.serving.part_settings import load_settings
from fovea.serving.security.tls import read_tls
from fovea.serving.security.token import read_tokens
from fovea.serving.settings import Settings

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "grpcio", "protobuf", "numpy", "pydantic")
_MEMORY = {"memory_mb": "MemTotal", "memory_free_mb": "MemAvailable"}


def checkup(settings: Settings, serves: Callable[[str], bool]) -> Iterator[Finding]:
    """What can be found out without starting a server; `serves` tells whether one answers at an address."""
    yield from _versions()
    yield from _machine()
    yield from _device(settings)
    yield from _kernels(settings)
    yield from _server(settings, serves)
    yield from _models(settings)


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "python", platform.python_version())
    yield Finding("versions", "fovea", __version__)
    for package in PACKAGES:
        try:
            yield Finding("versions", package, version(package))
        except PackageNotFoundError:  # one of the two wheels of ONNX Runtime is enough
            continue


def _machine() -> Iterator[Finding]:
    processor = this_processor()
    yield Finding("machine", "system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Finding("machine", "processor", processor.name)
    yield Finding("machine", "instruction_set", processor.instruction_set)
    yield Finding("machine", "cores", usable_cores())
    facts = _meminfo(Path("/proc/meminfo"))
    for name, field in _MEMORY.items():
        yield Finding("machine", name, facts.get(field))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Finding("machine", "open_files_limit", soft)
    yield Finding("machine", "open_files_limit_at_most", hard)


def _meminfo(path: Path) -> dict[str, int]:
    """Megabytes by name; empty where the system does not tell."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) // 1024 for name, _, rest in (line.partition(":") for line in lines)}


def _device(settings: Settings) -> Iterator[Finding]:
    yield Finding("device", "providers", onnxruntime.get_available_providers())
    yield Finding("device", "gpu", cuda_obstacle(0) or "usable")
    try:
        yield Finding("device", "chosen", str(resolve_device(settings.device)))
    except Misconfigured as error:
        yield Finding("device", "chosen", str(error), wrong=True)


def _kernels(settings: Settings) -> Iterator[Finding]:
    yield Finding("kernels", "mode", settings.kernels)
    try:
        offer = kernels_on_offer(settings.kernels, settings.kernel_library)
    except Misconfigured as error:
        yield Finding("kernels", "library", str(error), wrong=True)
        return
    if isinstance(offer, Path):
        yield Finding("kernels", "library", str(offer))
        yield Finding("kernels", "code_path", this_processor().kernel_code(os.environ))
    else:
        yield Finding("kernels", "library", offer.reason)


def _server(settings: Settings, serves: Callable[[str], bool]) -> Iterator[Finding]:
    obstacle = fast_lane.obstacle() if settings.fast_lane else "turned off"
    yield Finding("server", "fast_lane", obstacle or "possible")
    yield from _security(settings)
    if remarks := list(environment.remarks(os.environ, variables())):
        yield Finding("server", "variables_that_are_no_settings", remarks)
    running = settings.grpc_port > 0 and serves(address_of(settings.host, settings.grpc_port))
    for name in ("grpc_port", "http_port", "metrics_port"):
        yield _port(settings.host, name, getattr(settings, name), running)


def _security(settings: Settings) -> Iterator[Finding]:
    reads: dict[str, Callable[[], object]] = {
        "tls": lambda: read_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca),
        "token": lambda: read_tokens(settings.token_file),
    }
    for name, read in reads.items():
        try:
            yield Finding("server", name, "on" if read() else "off")
        except Misconfigured as error:
            yield Finding("server", name, str(error), wrong=True)


def _port(host: str, name: str, port: int, running: bool) -> Finding:
    """A port that another program has is wrong; that of a server that is running is not."""
    try:
        for listener in listeners(host, port):
            listener.close()
    except OSError as error:
        text = f"{port}: a server is running" if running else f"{address_of(host, port)}: {error.strerror}"
        return Finding("server", name, text, wrong=not running)
    return Finding("server", name, f"{port}: free" if port else "any that is free")


def _models(settings: Settings) -> Iterator[Finding]:
    try:
        folders = scan(settings.repository, read_config)
    except Misconfigured as error:
        yield Finding("models", "repository", str(error), wrong=True)
        return
    yield Finding("models", "repository", str(settings.repository.resolve()))
    names = list(folders) if has_models(folders) else no_model_in(settings.repository)
    yield Finding("models", "models", names, wrong=not has_models(folders))
    try:
        loading = load_settings(settings, resolve_device(settings.device))
    except Misconfigured as error:  # the device or the kernels, of which it is told above
        yield Finding("models", "tried", f"no: {error}")
        return
    for folder in folders.values():
        yield from _model(folder, loading)


def _model(folder: ModelFolder, loading: LoadSettings) -> Iterator[Finding]:
    numbers = chosen_versions(folder)
    if not numbers:
        yield Finding(folder.name, "state", f"no version to serve: {why_none(folder)}", wrong=folder.is_meant)
    for name, reason in folder.passed_over.items():
        yield Finding(f"{folder.name} {name}", "state", f"not served: {reason}", wrong=True)
    for number in numbers:
        yield from _version(folder, number, loading)


def _version(folder: ModelFolder, number: int, loading: LoadSettings) -> Iterator[Finding]:
    topic = f"{folder.name} {number}"
    try:
        loaded = load_chosen(folder, number, loading)
    except FoveaError as error:
        yield Finding(topic, "state", str(error), wrong=True)
        return
    if folder.declared and folder.declared.remark:
        yield Finding(topic, folder.declared.source, folder.declared.remark)
    yield from _loaded(topic, loaded)
    loaded.close()


def _loaded(topic: str, loaded: LoadedVersion) -> Iterator[Finding]:
    yield Finding(topic, "state", "can be served")
    yield Finding(topic, "attention", [kind.value for kind in loaded.card.attention_types])
    yield Finding(topic, "kernels", loaded.kernels)
    if loaded.kernels_reason:
        yield Finding(topic, "kernels_reason", loaded.kernels_reason)
    if loaded.batching:
        yield Finding(topic, "batching", loaded.batching)
    yield Finding(topic, "provider", loaded.provider)
    if (share := attention_share(loaded, time.perf_counter)) is not None:
        yield Finding(topic, "attention_share", share)
    yield from costs(topic, loaded.cost.facts())
