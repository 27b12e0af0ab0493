"""Bodies of the operators on feature maps, plain and at the end of a residual branch.

How to write one: `function_bodies.py`. Variants were timed in the small residual network, one core.
"""

from __future__ import annotations

from fovea.contract.operators import RESIDUAL_FORMS
from fovea.export.channel_bodies import CHANNEL_BODIES

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

_GATE = """
    Gate = Sigmoid(S)
    Y = Mul(X, Gate)
"""

# ONNX's MaxPool takes its window as a list, which an attribute that is a number cannot be: the plane is filled up to
# whole windows, and these are axes of their own.
_MAX_POOL = """
    plane = Shape<start=2, end=4>(X)
    side = Constant<value_int: int = @size>()
    side_axis = Constant<value_ints=[1]>()
    sides = Reshape(side, side_axis)
    below = Neg(plane)
    lacking = Mod(below, sides)
    no_pads = Constant<value_ints=[0, 0, 0, 0, 0, 0]>()
    pads = Concat<axis=0>(no_pads, lacking)
    zero_float = Constant<value_float=0.0>()
    zero = CastLike(zero_float, X)
    lowest = Log(zero)
    highest = Neg(lowest)
    is_no_number = IsNaN(X)
    ordered = Where(is_no_number, highest, X)
    filled = Pad(ordered, pads, lowest)
    whole = Add(plane, lacking)
    windows_a_side = Div(whole, sides)
    lines, columns = Split<num_outputs=2>(windows_a_side)
    planes = Shape<start=0, end=2>(X)
    window_shape = Concat<axis=0>(planes, lines, sides, columns, sides)
    windows = Reshape<allowzero=1>(filled, window_shape)
    window_axes = Constant<value_ints=[3, 5]>()
    best = ReduceMax<keepdims=1>(windows, window_axes)
    winners = Equal(windows, best)
    filled_shape = Shape(filled)
    winners_of_plane = Reshape<allowzero=1>(winners, filled_shape)
    corner = Constant<value_ints=[0, 0]>()
    plane_axes = Constant<value_ints=[2, 3]>()
    passed = Slice(winners_of_plane, corner, plane, plane_axes)
    Mask = CastLike(passed, X)
    Y = Where(passed, X, zero)
"""

_PLAIN: dict[tuple[str, str], str] = {
    **CHANNEL_BODIES,
    ("SpatialAttention", ""): _SPATIAL.format(features="X"),
    ("CBAM", ""): _CBAM_CHANNELS + _SPATIAL.format(features="gated"),
    ("SimAM", ""): _SIMAM,
    ("Gate", ""): _GATE,
    ("MaxPoolAttention", ""): _MAX_POOL,
}

_RESIDUAL_END = """
    sum = Add(block, R)
    Y = Relu(sum)
"""


def _residual(plain: str) -> str:
    """The same text, whose Y is the block's output; then the sum with R, rectified."""
    return plain.replace(" Y = ", " block = ") + _RESIDUAL_END


FEATURE_MAP_BODIES: dict[tuple[str, str], str] = {
    **_PLAIN,
    **{(RESIDUAL_FORMS[name].name, overload): _residual(text) for (name, overload), text in _PLAIN.items()},
}
