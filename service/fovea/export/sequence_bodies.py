"""Bodies of attention within a sequence, and of the external memory. How to write one: `function_bodies.py`."""

from __future__ import annotations

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

SEQUENCE_BODIES: dict[tuple[str, str], str] = {
    ("ExternalAttention", ""): _EXTERNAL,
    ("MultiHeadAttention", ""): _PLAIN_VALUES,
    ("MultiHeadAttention", "window"): _WINDOW_VALUES,
    ("MultiHeadAttention", "masked"): _MASKED,
    ("MultiHeadAttention", "maps"): _ALLOWED_POSITIONS + _PLAIN_VALUES + _PROBABILITIES.format(allowed="positions"),
    ("MultiHeadAttention", "window_maps"): _WINDOW_VALUES + _PROBABILITIES.format(allowed="positions"),
    ("MultiHeadAttention", "masked_maps"): _MASKED + _PROBABILITIES.format(allowed="allowed"),
}
