"""Torch module -> ONNX graph with one `ai.fovea` node per attention block, its body in the file.

The batch axis is dynamic, and so are the lengths.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import onnx
import torch
from onnx_ir.passes.common import NameFixPass
from torch import Tensor, nn

from fovea.contract.errors import ExportFailed
from fovea.export.attention_masks import expand_attention_masks
from fovea.export.function_bodies import OPSET
from fovea.export.graph import ExportedGraph, finish
from fovea.export.length_axes import AxisNames
from fovea.export.reference import first_line
from fovea.export.translation import translation_table

BATCH = "batch"


def export_graph(
    module: nn.Module,
    example: Mapping[str, Tensor],
    output_names: Sequence[str],
    length_axes: AxisNames | None = None,
) -> ExportedGraph:
    """Trace `module` in evaluation mode on `example` (input name -> tensor, axis 0 is the batch, at least 2 rows).

    `length_axes`: of the inputs; axes of one length are equally long, at least 3. Raises ExportFailed where the module
    cannot be traced, does not batch, or its graph is not valid ONNX.
    """
    if any(tensor.ndim == 0 or len(tensor) < 2 for tensor in example.values()):
        raise ExportFailed("every input needs a batch axis with at least 2 rows in the example")
    if twice := sorted(set(example) & set(output_names)):
        raise ExportFailed(f"{twice[0]} is an input and an output: one of them needs another name")
    traced = trace(module.eval(), example, output_names, length_axes or {})
    expand_attention_masks(traced)
    graph = finish(traced, {name: tensor.numpy() for name, tensor in example.items()})
    _check_batch([*graph.inputs, *graph.outputs])
    return graph


def trace(
    module: nn.Module, example: Mapping[str, Tensor], output_names: Sequence[str], length_axes: AxisNames
) -> onnx.ModelProto:
    """The graph as torch writes it; a value inside that is called as an input or an output gets another name."""
    batch = torch.export.Dim(BATCH)
    dims = {name: torch.export.Dim(name) for axes in length_axes.values() for name in axes.values()}
    lengths = {name: {axis: dims[length] for axis, length in axes.items()} for name, axes in length_axes.items()}
    try:
        with _silence():
            program = torch.onnx.export(
                module,
                tuple(example.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(example),
                output_names=list(output_names),
                dynamic_shapes=tuple({0: batch, **lengths.get(name, {})} for name in example),
                custom_translation_table=translation_table(),
                verbose=False,
            )
    except Exception as error:  # torch raises anything from a TypeError to its own compiler's errors
        raise ExportFailed(_reason(error, "batch axis or a length" if length_axes else "batch axis")) from error
    assert program is not None
    NameFixPass()(program.model)
    model: onnx.ModelProto = program.model_proto
    return model


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps back what torch writes by the way: deprecations of its own, advice, whole graphs. Errors tell the rest."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _reason(error: Exception, dynamic: str) -> str:
    """The innermost cause in one line: torch wraps it in pages of advice."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = first_line(cause)
    if "onstraint" in str(cause) or "dynamic" in str(cause):
        return f"the module fixes its {dynamic}: {text}"
    return f"torch cannot trace the module: {text}"


def _check_batch(specs: Sequence[Any]) -> None:
    for spec in specs:
        if not spec.shape or spec.shape[0] != -1:
            raise ExportFailed(f"axis 0 of {spec.name} is not the batch: its shape is {list(spec.shape)}")
