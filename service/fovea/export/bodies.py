"""The function bodies: what each `ai.fovea` operator is in plain ONNX, opset 23, in ONNX's own text form.

A body must be right for float32 and float16, for any batch, and cost nothing for a map that is not connected. ONNX
Runtime runs every node of a body, needed or not: where a map is no by-product, the body with it is an overload of its
own. Nodes are named `<Operator>/<first output>`. Variants were timed in the small residual network, one core.
"""

from __future__ import annotations

from functools import cache

import onnx
import onnx.parser

from fovea.contract.operators import DOMAIN, OPERATORS

OPSET = 23

# GlobalAveragePool and Mul exist in ONNX Runtime's blocked layout, so the feature map is not reordered around a gate.
_SQUEEZE_EXCITATION = """
    mean = GlobalAveragePool(X)
    pooled = Flatten(mean)
    squeezed = Gemm<transB=1>(pooled, W1, B1)
    hidden = Relu(squeezed)
    excited = Gemm<transB=1>(hidden, W2, B2)
    Gate = Sigmoid(excited)
    plane = Constant<value_ints=[2, 3]>()
    gate = Unsqueeze(Gate, plane)
    Y = Mul(X, gate)
"""

_SPATIAL = """
    channel_axis = Constant<value_ints=[1]>()
    channel_mean = ReduceMean<keepdims=1>({features}, channel_axis)
    channel_max = ReduceMax<keepdims=1>({features}, channel_axis)
    pooled_channels = Concat<axis=1>(channel_mean, channel_max)
    position_scores = Conv<auto_pad="SAME_UPPER">(pooled_channels, W)
    Map = Sigmoid(position_scores)
    Y = Mul({features}, Map)
"""

# The second matrix is linear, so both pooled vectors pass it as one sum; its bias counts twice.
_CBAM_CHANNELS = """
    mean = GlobalAveragePool(X)
    max = GlobalMaxPool(X)
    mean_vector = Flatten(mean)
    max_vector = Flatten(max)
    mean_squeezed = Gemm<transB=1>(mean_vector, W1, B1)
    max_squeezed = Gemm<transB=1>(max_vector, W1, B1)
    mean_hidden = Relu(mean_squeezed)
    max_hidden = Relu(max_squeezed)
    hidden = Add(mean_hidden, max_hidden)
    excited = Gemm<transB=1, beta=2.0>(hidden, W2, B2)
    Gate = Sigmoid(excited)
    plane = Constant<value_ints=[2, 3]>()
    gate = Unsqueeze(Gate, plane)
    gated = Mul(X, gate)
"""

# What is one number per plane is computed there: the full-size part is 1 Sub, 3 Mul, 1 Add and 1 Sigmoid.
_SIMAM = """
    mean = GlobalAveragePool(X)
    centred = Sub(X, mean)
    deviation = Mul(centred, centred)
    mean_deviation = GlobalAveragePool(deviation)
    plane = Shape<start=2, end=4>(X)
    pixels = ReduceProd<keepdims=0>(plane)
    one = Constant<value_int=1>()
    others = Sub(pixels, one)
    neighbours = Max(others, one)
    pixels_f = CastLike(pixels, X)
    neighbours_f = CastLike(neighbours, X)
    four_float = Constant<value_float=4.0>()
    four = CastLike(four_float, X)
    lambda_float = Constant<value_float: float = @lambda>()
    lambda_f = CastLike(lambda_float, X)
    half_float = Constant<value_float=0.5>()
    half = CastLike(half_float, X)
    bessel = Div(pixels_f, neighbours_f)
    four_bessel = Mul(bessel, four)
    four_lambda = Mul(lambda_f, four)
    four_variance = Mul(mean_deviation, four_bessel)
    spread = Add(four_variance, four_lambda)
    sharpness = Reciprocal(spread)
    relative = Mul(deviation, sharpness)
    energy = Add(relative, half)
    Weights = Sigmoid(energy)
    Y = Mul(X, Weights)
"""

# Slots by tokens, so that softmax and division run along rows of memory: 6 % of the network's time at batch 32. ONNX
# Runtime folds both transpositions into the matrix products.
_EXTERNAL = """
    columns = Transpose<perm=[0, 2, 1]>(X)
    scores = MatMul(Mk, columns)
    over_tokens = Softmax<axis=-1>(scores)
    slot_axis = Constant<value_ints=[1]>()
    total = ReduceSum<keepdims=1>(over_tokens, slot_axis)
    epsilon_float = Constant<value_float: float = @epsilon>()
    epsilon = CastLike(epsilon_float, X)
    divisor = Add(total, epsilon)
    share = Reciprocal(divisor)
    normalised = Mul(over_tokens, share)
    A = Transpose<perm=[0, 2, 1]>(normalised)
    Y = MatMul(A, Mv)
"""

# (1, 1, Tq, Tk) boolean: what causality and the window allow. ORT's Attention wants a mask of full size.
_ALLOWED_POSITIONS = """
    query_count = Shape<start=2, end=3>(Q)
    key_count = Shape<start=2, end=3>(K)
    queries = Squeeze(query_count)
    keys = Squeeze(key_count)
    zero = Constant<value_int=0>()
    one = Constant<value_int=1>()
    query_index = Range(zero, queries, one)
    key_index = Range(zero, keys, one)
    last_axis = Constant<value_ints=[1]>()
    query_column = Unsqueeze(query_index, last_axis)
    ahead = Sub(key_index, query_column)
    causal = Constant<value_int: int = @causal>()
    window = Constant<value_int: int = @window>()
    any_order = Equal(causal, zero)
    past = LessOrEqual(ahead, zero)
    in_order = Or(past, any_order)
    any_distance = Equal(window, zero)
    distance = Abs(ahead)
    near = LessOrEqual(distance, window)
    in_window = Or(near, any_distance)
    in_place = And(in_order, in_window)
    leading_axes = Constant<value_ints=[0, 1]>()
    positions = Unsqueeze(in_place, leading_axes)
"""

_PROBABILITIES = """
    keys_transposed = Transpose<perm=[0, 1, 3, 2]>(K)
    products = MatMul(Q, keys_transposed)
    scale_float = Constant<value_float: float = @scale>()
    scale_f = CastLike(scale_float, Q)
    scores = Mul(products, scale_f)
    lowest_float = Constant<value_float=-3.4e38>()
    lowest = CastLike(lowest_float, Q)
    masked_scores = Where({allowed}, scores, lowest)
    probabilities = Softmax<axis=-1>(masked_scores)
    nothing_float = Constant<value_float=0.0>()
    nothing = CastLike(nothing_float, Q)
    P = Where({allowed}, probabilities, nothing)
"""

# The query that may attend nothing yields zeros, whatever the runtime's Attention makes of such a row.
_MASKED_VALUES = """
    attended = Attention<scale: float = @scale>(Q, K, V, {allowed})
    allowed_f = Cast<to=1>({allowed})
    key_axis = Constant<value_ints=[-1]>()
    most_allowed = ReduceMax<keepdims=1>(allowed_f, key_axis)
    any_allowed = Cast<to=9>(most_allowed)
    zero_float = Constant<value_float=0.0>()
    zeros = CastLike(zero_float, Q)
    Y = Where(any_allowed, attended, zeros)
"""

_PLAIN_VALUES = """
    Y = Attention<scale: float = @scale, is_causal: int = @causal>(Q, K, V)
"""

_ALLOWED_BY_MASK = _ALLOWED_POSITIONS + "    allowed = And(positions, mask)\n"
_WINDOW_VALUES = _ALLOWED_POSITIONS + _MASKED_VALUES.format(allowed="positions")
_MASKED = _ALLOWED_BY_MASK + _MASKED_VALUES.format(allowed="allowed")

BODIES: dict[tuple[str, str], str] = {
    ("SqueezeExcitation", ""): _SQUEEZE_EXCITATION,
    ("SpatialAttention", ""): _SPATIAL.format(features="X"),
    ("CBAM", ""): _CBAM_CHANNELS + _SPATIAL.format(features="gated"),
    ("SimAM", ""): _SIMAM,
    ("ExternalAttention", ""): _EXTERNAL,
    ("MultiHeadAttention", ""): _PLAIN_VALUES,
    ("MultiHeadAttention", "window"): _WINDOW_VALUES,
    ("MultiHeadAttention", "masked"): _MASKED,
    ("MultiHeadAttention", "maps"): _ALLOWED_POSITIONS + _PLAIN_VALUES + _PROBABILITIES.format(allowed="positions"),
    ("MultiHeadAttention", "window_maps"): _WINDOW_VALUES + _PROBABILITIES.format(allowed="positions"),
    ("MultiHeadAttention", "masked_maps"): _MASKED + _PROBABILITIES.format(allowed="allowed"),
}
"""(Operator, overload) -> body. An overload is what an optional input, a costly option or a costly map makes of it."""


def overload_of(node: onnx.NodeProto) -> str:
    """Which body of its operator this node needs; its unused outputs are ""."""
    if node.op_type != "MultiHeadAttention":
        return ""
    masked = len(node.input) > 3 and node.input[3] != ""
    window = next((attribute.i for attribute in node.attribute if attribute.name == "window"), 0)
    restricted = "masked" if masked else "window" if window > 0 else ""
    return "_".join(part for part in (restricted, "maps" if any(node.output[1:]) else "") if part)


def outputs_of(operator_name: str, overload: str) -> tuple[str, ...]:
    """The outputs this body computes, which are those its nodes list: all, or just the first."""
    text = BODIES[operator_name, overload]
    return tuple(name for name in OPERATORS[operator_name].outputs if f" {name} = " in text)


@cache
def body_of(operator_name: str, overload: str = "") -> onnx.FunctionProto:
    """The function of domain `ai.fovea` to append to a model. KeyError: no such body."""
    operator = OPERATORS[operator_name]
    optional = overload.startswith("masked")
    given = [name.removesuffix("?") for name in operator.inputs if optional or not name.endswith("?")]
    attributes = f"<{', '.join(operator.attributes)}>" if operator.attributes else ""
    imports = f'<domain: "{DOMAIN}", opset_import: ["": {OPSET}], overload: "{overload}">'
    signature = (
        f"{operator_name} {attributes} ({', '.join(given)}) => ({', '.join(outputs_of(operator_name, overload))})"
    )
    function: onnx.FunctionProto = onnx.parser.parse_function(
        f"{imports} {signature} {{{BODIES[operator_name, overload]}}}"
    )
    for node in function.node:
        node.name = f"{operator_name}/{node.output[0]}"
    return function
