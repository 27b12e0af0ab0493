"""What in a graph speaks against batches that nobody asked for, though made-up rows may not show it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import onnxruntime

_SIZED_BY_CONTENT = frozenset({"NonZero", "Unique", "Compress", "NonMaxSuppression", "Loop", "If"})
_OVER_THE_BATCH = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
_OWN_CHOICE = "_inlfunc_MultiHeadAttention_"
"""Before the names of our body's nodes, inlined: its If goes by how many keys there are, no value."""
_DRAWS = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_WORDS = {
    **dict.fromkeys(_SIZED_BY_CONTENT, "may go by the values of the whole batch"),
    **dict.fromkeys(_OVER_THE_BATCH, "rounds by the largest value of the whole batch"),
    **dict.fromkeys(_DRAWS, "draws at random"),
}


def doubtful_operator(session: onnxruntime.InferenceSession) -> str:
    """An operator that may let rows influence each other, in words; nothing where there is none.

    The session was opened with `SessionSettings.record_nodes`.
    """
    nodes = [node for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()]
    found = sorted({node.op_type for node in nodes if not node.name.startswith(_OWN_CHOICE)} & _WORDS.keys())
    return f"its graph has {found[0]}, which {_WORDS[found[0]]}" if found else ""


def unexplained_axis(session: onnxruntime.InferenceSession, explained: Container[str] = ()) -> str:
    """An output's axis of open size that no input's axis has by name, in words; nothing where there is none.

    It may be as long as the longest row of a batch needs. Outputs in `explained` are passed over.
    """
    batch = {tensor.shape[0] for tensor in session.get_inputs() if tensor.shape}
    known = {size for tensor in session.get_inputs() for size in tensor.shape[1:] if isinstance(size, str)} - batch
    for tensor in session.get_outputs():
        for axis in _open_axes(tensor.shape):
            if tensor.shape[axis] not in known and tensor.name not in explained:
                return f"no input says how long axis {axis} of {tensor.name} is"
    return ""


def _open_axes(shape: list[Any]) -> Iterator[int]:
    return (axis for axis in range(1, len(shape)) if not isinstance(shape[axis], int) or shape[axis] < 0)
