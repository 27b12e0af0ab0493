"""From torch module to a session with a bound batch: what both sides of a race are made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from fovea.export.exporter import export_graph, trace
from fovea.runtime.description import specs
from fovea.runtime.device import CPU
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature

Shapes = Mapping[str, tuple[int, ...]]
Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Opening:
    """How a file is opened: with the kernel library or without, by how many threads, profiled or not."""

    library: Path | None = None
    threads: int = 1
    profile_prefix: Path | None = None


def write_onnx(module: nn.Module, inputs: Shapes, path: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Export with a dynamic batch axis; `inputs`: name -> shape of one row."""
    onnx.save(export_graph(module.to(dtype), _example(inputs, dtype), ["y"]).model, path)
    return path


def write_plain_onnx(module: nn.Module, inputs: Shapes, path: Path) -> Path:
    """The same as torch itself exports it: in a plain module Fovea would find attention, which others cannot read."""
    onnx.save(trace(module.eval(), _example(inputs, torch.float32), ["y"], {}), path)
    return path


def _example(inputs: Shapes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(2, *shape, dtype=dtype) for name, shape in inputs.items()}


def random_feed(inputs: Shapes, rows: int, dtype: type[np.floating[Any]] = np.float32) -> Feed:
    """Standard normal numbers, the same in every run."""
    random = np.random.default_rng(0)
    return {name: random.standard_normal((rows, *shape)).astype(dtype) for name, shape in inputs.items()}


def open_bound(path: Path, feed: Feed, opening: Opening) -> ModelSession:
    """A session as the server opens it, with the batch in its buffers."""
    return bound(open_file(path, opening), feed)


def open_file(path: Path, opening: Opening) -> onnxruntime.InferenceSession:
    """With the server's options."""
    return open_session(
        path,
        SessionSettings(
            intra_op_threads=opening.threads, kernel_library=opening.library, profile_prefix=opening.profile_prefix
        ),
    )


def bound(session: onnxruntime.InferenceSession, feed: Feed) -> ModelSession:
    """Input and output buffers are bound once; `run` is a single call after that."""
    signature = Signature(*specs(session), batched=True, max_batch_rows=len(next(iter(feed.values()))))
    result = ModelSession(session, signature, CPU)
    result.gather([feed])
    return result
