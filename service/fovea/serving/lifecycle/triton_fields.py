"""Which fields of Triton's ModelConfig this server heeds, which it may pass over, and which it does not support."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fovea.contract.model_card import MODEL_FILE

PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
"""What an ONNX model is called in a configuration, the older way and the newer one."""

HINTS = {
    *("optimization", "model_warmup", "metric_tags", "model_metrics", "parameters"),
    *("input.format", "instance_group.name", "instance_group.kind", "instance_group.gpus", "instance_group.profile"),
    *("instance_group.host_policy", "dynamic_batching.default_queue_policy.allow_timeout_override"),
}
"""Fields that are read by nobody here and change no answer: how to be quick, what to count, and where to run, which is
the server's `device`."""

HEEDED = {
    *("name", "platform", "backend", "version_policy", "max_batch_size", "default_model_filename"),
    *("input.name", "input.data_type", "input.dims", "output.name", "output.data_type", "output.dims"),
    *("output.label_filename", "instance_group.count", "response_cache"),
    *("dynamic_batching.preferred_batch_size", "dynamic_batching.max_queue_delay_microseconds"),
    *("dynamic_batching.priority_levels", "dynamic_batching.default_priority_level"),
    *("dynamic_batching.default_queue_policy.max_queue_size",),
    *("dynamic_batching.default_queue_policy.default_timeout_microseconds",),
}
"""Fields that are done as they say. Whatever is set and in neither set is not supported."""

PARTS = {"input", "output", "instance_group", "dynamic_batching", "dynamic_batching.default_queue_policy"}
"""Messages that are looked into, field by field."""

_REQUIRED: dict[str, tuple[str, ...]] = {
    "platform": ("", PLATFORM),
    "backend": ("", BACKEND),
    "default_model_filename": ("", MODEL_FILE),
}
"""Fields of which only these values can be served."""

CHOICES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "max_batch_rows": ("max_batch_size", lambda config: config.max_batch_size),
    "instances": ("instance_group.count", lambda config: sum(max(group.count, 1) for group in config.instance_group)),
    "cache": ("response_cache", lambda config: config.response_cache.enable),
    "preferred_batch_rows": (
        "dynamic_batching.preferred_batch_size",
        lambda config: tuple(config.dynamic_batching.preferred_batch_size),
    ),
    "max_queue_delay_s": (
        "dynamic_batching.max_queue_delay_microseconds",
        lambda config: config.dynamic_batching.max_queue_delay_microseconds / 1e6,
    ),
    "priority_levels": (
        "dynamic_batching.priority_levels",
        lambda config: config.dynamic_batching.priority_levels,
    ),
    "default_priority": (
        "dynamic_batching.default_priority_level",
        lambda config: config.dynamic_batching.default_priority_level,
    ),
    "max_queue": (
        "dynamic_batching.default_queue_policy.max_queue_size",
        lambda config: config.dynamic_batching.default_queue_policy.max_queue_size,
    ),
    "default_timeout_s": (
        "dynamic_batching.default_queue_policy.default_timeout_microseconds",
        lambda config: config.dynamic_batching.default_queue_policy.default_timeout_microseconds / 1e6,
    ),
}
"""Serving choice -> the field that makes it, and its value; what is 0, empty or false leaves it to the server."""


def fields_set(config: Any) -> list[str]:
    """The paths of the fields that are set, as deep as they are told apart here."""
    return list(_paths("", config))


def _paths(prefix: str, part: Any) -> Iterator[str]:
    for field, value in part.ListFields():
        path = prefix + field.name
        if path not in PARTS:
            yield path
            continue
        for inner in value if field.is_repeated else [value]:
            yield from _paths(f"{path}.", inner)


def problems(config: Any) -> Iterator[str]:
    """In words, whatever cannot be served as it is asked for."""
    strange = [path for path in fields_set(config) if path not in HEEDED | HINTS and not _is_default(config, path)]
    for path in dict.fromkeys(strange):
        yield f"{path} is not supported"
    for name, values in _REQUIRED.items():
        if (value := getattr(config, name)) not in values:
            yield f"{name}: expected {values[-1]}, found {value}"
    if config.HasField("dynamic_batching") and config.max_batch_size < 1:
        yield "dynamic_batching: max_batch_size is 0, so there are no batches"


def _is_default(config: Any, path: str) -> bool:
    """Whether a field is there and asks for nothing: `model_transaction_policy { decoupled: false }`."""
    return path == "model_transaction_policy" and not config.model_transaction_policy.decoupled


def remark(config: Any) -> str:
    """What is set and does nothing here, for the log; empty where there is no such thing."""
    hints = [path for path in fields_set(config) if path in HINTS]
    return f"without effect here: {', '.join(dict.fromkeys(hints))}" if hints else ""
