"""How a model asks to be served in Triton's ModelConfig, in the words of `model.toml`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

_THREADS, _ARENA, _SHRINK = "intra_op_thread_count", "enable_mem_arena", "memory.enable_memory_arena_shrinkage"


def _session(config: Any) -> dict[str, Any]:
    """What is asked of sessions. Libraries go by their names: the server's operator lists them."""
    libraries = config.model_operations.op_library_filename
    found = {
        "custom_op_libraries": tuple(PurePath(file).name for file in libraries) or None,
        "threads": _number(config, _THREADS) or None,  # 0, as nothing, leaves it to the server
        "arena": None if _ARENA not in config.parameters else _number(config, _ARENA) != 0,
        "shrink_arena": bool(config.parameters[_SHRINK].string_value) if _SHRINK in config.parameters else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _number(config: Any, name: str) -> int:
    if name not in config.parameters:
        return 0
    text = config.parameters[name].string_value.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"parameters.{name}: expected a whole number, found '{text}'")
    return int(text)


CHOICES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "max_batch_rows": ("max_batch_size", lambda config: config.max_batch_size),
    "instances": ("instance_group.count", lambda config: sum(max(group.count, 1) for group in config.instance_group)),
    "cache": ("response_cache", lambda config: config.response_cache.enable),
    "session": ("parameters", _session),
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
"""Serving choice -> the field that makes it, and its value; what is 0, empty or false leaves it to the server.

ValueError tells what is no value.
"""
