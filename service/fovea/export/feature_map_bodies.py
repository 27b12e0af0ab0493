"""Bodies of the operators on feature maps, plain and at the end of a residual branch.

How to write one: `function_bodies.py`. Variants were timed in the small residual network, one core.
"""

from __future__ import annotations

from fovea.contract.operators import RESIDUAL_FORMS

# GlobalAveragePool reads ONNX Runtime's blocked layout, so the mean does not wait for the map to be reordered. The
# product leaves that layout, however the gate is made: the runtime keeps it for factors of one shape only.
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

# The mean is the gate before the sigmoid: the map is a view of it.
_SQUEEZE_GATE = """
    mean = GlobalAveragePool(X)
    gate = Sigmoid(mean)
    Gate = Flatten(gate)
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

_PLAIN: dict[str, str] = {
    "SqueezeExcitation": _SQUEEZE_EXCITATION,
    "SqueezeGate": _SQUEEZE_GATE,
    "SpatialAttention": _SPATIAL.format(features="X"),
    "CBAM": _CBAM_CHANNELS + _SPATIAL.format(features="gated"),
    "SimAM": _SIMAM,
}

_RESIDUAL_END = """
    sum = Add(block, R)
    Y = Relu(sum)
"""


def _residual(plain: str) -> str:
    """The same text, whose Y is the block's output; then the sum with R, rectified."""
    return plain.replace(" Y = ", " block = ") + _RESIDUAL_END


FEATURE_MAP_BODIES: dict[tuple[str, str], str] = {
    **{(name, ""): text for name, text in _PLAIN.items()},
    **{(form.name, ""): _residual(_PLAIN[name]) for name, form in RESIDUAL_FORMS.items()},
}
