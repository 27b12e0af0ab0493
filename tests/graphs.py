"""Small models written as ONNX text: the signature and the body of a graph."""

from __future__ import annotations

from pathlib import Path

import onnx


def write_graph(path: Path, text: str, opset: int = 21) -> Path:
    """Write `(float[n,4] x) => (float[n,4] y) { y = Neg(x) }` as an ONNX file."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]> graph {text}')
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
