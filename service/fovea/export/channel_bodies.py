"""Bodies of the operators that weigh channels: squeeze-and-excitation, and what came of it.

How to write one: `function_bodies.py`. Variants were timed in the small residual network, one core.
"""

from __future__ import annotations

# GlobalAveragePool reads ONNX Runtime's blocked layout, so the mean does not wait for the map to be reordered. The
# product leaves that layout, however the gate is made: the runtime keeps it for factors of one shape only.
# Where a bias is left out, Gemm has none: it takes the empty name, as other operators would not.
_SQUEEZE_EXCITATION = """
    mean = GlobalAveragePool(X)
    pooled = Flatten(mean)
    squeezed = Gemm<transB=1>(pooled, W1, B1)
    {activation}
    excited = Gemm<transB=1>(hidden, W2, B2)
    Gate = {gate}(excited)
    plane = Constant<value_ints=[2, 3]>()
    gate = Unsqueeze(Gate, plane)
    Y = Mul(X, gate)
"""

_ACTIVATIONS = {
    "relu": "hidden = Relu(squeezed)",
    "silu": "share = Sigmoid(squeezed) hidden = Mul(squeezed, share)",
    "hard_swish": "hidden = HardSwish(squeezed)",
}
_GATES = {0: "Sigmoid", 1: "HardSigmoid<alpha: float = @slope, beta=0.5>"}

# The mean is the gate before the sigmoid: the map is a view of it.
_SQUEEZE_GATE = """
    mean = GlobalAveragePool(X)
    gate = Sigmoid(mean)
    Gate = Flatten(gate)
    Y = Mul(X, gate)
"""

_EFFICIENT_CHANNEL = """
    mean = GlobalAveragePool(X)
    pooled = Flatten(mean)
    one_plane = Constant<value_ints=[1]>()
    line = Unsqueeze(pooled, one_plane)
    scores = Conv<auto_pad="SAME_UPPER">(line, W)
    gates = Sigmoid(scores)
    Gate = Squeeze(gates, one_plane)
    plane = Constant<value_ints=[2, 3]>()
    gate = Unsqueeze(Gate, plane)
    Y = Mul(X, gate)
"""

# The layers are convolutions of size 1 along the means, whose channels then stay where they are.
_COORDINATE = """
    last = Constant<value_ints=[3]>()
    line = Constant<value_ints=[2]>()
    row_means = ReduceMean<keepdims=0>(X, last)
    column_means = ReduceMean<keepdims=0>(X, line)
    means = Concat<axis=2>(row_means, column_means)
    squeeze = Unsqueeze(W1, line)
    squeezed = Conv(means, squeeze, B1)
    hidden = HardSwish(squeezed)
    plane = Shape<start=2, end=4>(X)
    hidden_rows, hidden_columns = Split<axis=2>(hidden, plane)
    to_rows = Unsqueeze(Wr, line)
    to_columns = Unsqueeze(Wc, line)
    row_scores = Conv(hidden_rows, to_rows, Br)
    column_scores = Conv(hidden_columns, to_columns, Bc)
    Rows = Sigmoid(row_scores)
    Columns = Sigmoid(column_scores)
    rows = Unsqueeze(Rows, last)
    columns = Unsqueeze(Columns, line)
    by_rows = Mul(X, rows)
    Y = Mul(by_rows, columns)
"""


def gate_overload(activation: str, slope: float) -> str:
    """Which body of squeeze-and-excitation has this activation, and a hard sigmoid where there is a slope."""
    parts = ["" if activation == "relu" else activation, "hard" if slope > 0 else ""]
    return "_".join(part for part in parts if part)


CHANNEL_BODIES: dict[tuple[str, str], str] = {
    **{
        ("SqueezeExcitation", gate_overload(activation, slope)): _SQUEEZE_EXCITATION.format(activation=steps, gate=gate)
        for activation, steps in _ACTIVATIONS.items()
        for slope, gate in _GATES.items()
    },
    ("SqueezeGate", ""): _SQUEEZE_GATE,
    ("EfficientChannelAttention", ""): _EFFICIENT_CHANNEL,
    ("CoordinateAttention", ""): _COORDINATE,
}
"""(Operator, overload) -> body, without the residual forms."""
