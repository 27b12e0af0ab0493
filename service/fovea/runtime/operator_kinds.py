"""What kinds of operators there are, as far as it takes to see attention: standard ones and ONNX Runtime's own.

Quantised forms count as what they are the quantised form of; see `plain_name`.
"""

from __future__ import annotations

from fovea.runtime.onnx_graph import JOIN, Node


def _all(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


LAYOUT = _all(
    "Cast CastLike DequantizeLinear Dropout Expand Flatten Identity QuantizeLinear ReorderInput ReorderOutput",
    "Reshape Squeeze Transpose Unsqueeze",
)
"""What changes nothing but how a value is laid out or written down."""
SQUASHING = _all("Clip Exp HardSigmoid Sigmoid")
"""What makes a gate of a number. A sigmoid and its hard form are also written out, with an Exp or a Clip."""
ELEMENTWISE = (LAYOUT | SQUASHING | {JOIN}) | _all(
    "Abs Add BiasAdd Concat ConcatFromSequence Div DynamicQuantizeLinear Erf Gather GatherElements GatherND Log",
    "LeakyRelu Max Mean Min Mul Neg Pad Pow Reciprocal Relu ScatterElements ScatterND SequenceAt SequenceConstruct",
    "SequenceInsert Slice Softplus Split SplitToSequence Sqrt Sub Sum Tanh ThresholdedRelu Tile TopK Trilu Where",
)
"""What works element by element, picks some, or puts several side by side: nothing is mixed."""
SOFTMAX = _all("BiasSoftmax Hardmax Softmax")
PRODUCT_OPERANDS = {
    "MatMul": (0, 1), "Gemm": (0, 1), "Conv": (0, 1), "Einsum": (0, 1, 2, 3),
    "QLinearMatMul": (0, 3), "QLinearConv": (0, 3), "QGemm": (0, 3), "MatMulInteger": (0, 1), "ConvInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1), "MatMulNBits": (0,),
    "FusedMatMul": (0, 1), "TransposeMatMul": (0, 1), "FusedGemm": (0, 1), "FusedConv": (0, 1),
}  # fmt: skip
"""Matrix products -> which of their inputs are multiplied; the others are scales, zero points and biases."""
CONVOLUTIONS = _all("Conv ConvInteger FusedConv QLinearConv")
STABILISING = _all("Add Clip Max")
"""What keeps a sum from being zero."""
SHAPES = _all("ConstantOfShape Shape Size")
"""What looks at no number of its input."""


def plain_name(node: Node) -> str:
    """The operator, whether it is quantised or not."""
    return node.op if node.op in PRODUCT_OPERANDS else node.op.removeprefix("QLinear")


def is_reduction(op: str) -> bool:
    """Sums, means, maxima and pools, along some axes or over windows."""
    return op.startswith(("Reduce", "Global")) or op.endswith("Pool")
