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

# (1, 1, Tq, Tk) boolean: what causality and the window open. ONNX Runtime's Attention wants a mask of full size: what a
# caller gives, (B, 1, 1, Tk) for one, gets it from this.
_POSITIONS = """
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

_OPEN_BY_MASK = "    open_by_mask = And(positions, mask)\n"

# What a bias closes is told by minus infinity alone: a row of the lowest finite number is attended evenly, as in torch.
# ONNX Runtime's `Attention` takes that number itself as closed, and sums with it must not become infinite.
_OPEN_BY_BIAS = """
    bias_float = Cast<to=1>(bias)
    closed_by_bias = IsInf<detect_positive=0>(bias_float)
    not_closed = Not(closed_by_bias)
    open_by_bias = And({open}, not_closed)
    lowest_float = Constant<value_float=-3.4e38>()
    ten = Constant<value_float=10.0>()
    infinity_float = Mul(lowest_float, ten)
    infinity = CastLike(infinity_float, Q)
    floor = Constant<value_float=-1.6e38>()
    above_floor = Max(bias_float, floor)
    bounded_bias = CastLike(above_floor, Q)
    whole_bias = Where(open_by_bias, bounded_bias, infinity)
"""

_SCORES = """
    keys_transposed = Transpose<perm=[0, 1, 3, 2]>(K)
    products = MatMul(Q, keys_transposed)
    scale_float = Constant<value_float: float = @scale>()
    scale_f = CastLike(scale_float, Q)
    scores = Mul(products, scale_f)
"""

_RESTRICTED_SCORES = """
    least_float = Constant<value_float=-3.4e38>()
    least = CastLike(least_float, Q)
    open_scores = Where({open}, scores, least)
"""

_BIASED_SCORES = "    open_scores = Add(scores, whole_bias)\n"

_PROBABILITIES = """
    probabilities = Softmax<axis=-1>(open_scores)
    nothing_float = Constant<value_float=0.0>()
    nothing = CastLike(nothing_float, Q)
    P = Where({open}, probabilities, nothing)
"""

# The query that may attend nothing yields zeros, whatever the runtime's Attention makes of such a row.
_RESTRICTED_VALUES = """
        values = Attention<scale: float = @scale>(Q, K, V, {attention_mask})
        open_float = Cast<to=1>({open})
        key_axis = Constant<value_ints=[-1]>()
        most_open = ReduceMax<keepdims=1>(open_float, key_axis)
        any_open = Cast<to=9>(most_open)
        zero_float = Constant<value_float=0.0>()
        zeros = CastLike(zero_float, Q)
        attended = Where(any_open, values, zeros)
"""

_PLAIN_VALUES = """
        attended = Attention<scale: float = @scale, is_causal: int = @causal>(Q, K, V)
"""

# ONNX Runtime's Attention refuses to run where there is no key. The choice takes 2 µs.
_WHERE_THERE_ARE_KEYS = """
    value_count = Size(V)
    any_value = Cast<to=9>(value_count)
    Y = If(any_value) <then_branch = some () => (attended) {{{attended}    }}, else_branch = nothing () => (none) {{
        query_sizes = Shape<start=0, end=3>(Q)
        width = Shape<start=3, end=4>(V)
        sizes = Concat<axis=0>(query_sizes, width)
        nought_float = Constant<value_float=0.0>()
        nought = CastLike(nought_float, Q)
        none = Expand(nought, sizes)
    }}>
"""


def _values(attended: str) -> str:
    return _WHERE_THERE_ARE_KEYS.format(attended=attended)


_RESTRICTIONS: dict[str, tuple[str, str]] = {
    "window": (_POSITIONS, "positions"),
    "masked": (_POSITIONS + _OPEN_BY_MASK, "open_by_mask"),
    "biased": (_POSITIONS + _OPEN_BY_BIAS.format(open="positions"), "open_by_bias"),
    "masked_biased": (_POSITIONS + _OPEN_BY_MASK + _OPEN_BY_BIAS.format(open="open_by_mask"), "open_by_bias"),
}
"""What restricts a query -> the nodes that find out which keys are open to it, and the name of what they find."""


def _restricted(restriction: str) -> dict[tuple[str, str], str]:
    """Both bodies: without the map, and with it."""
    nodes, open_keys = _RESTRICTIONS[restriction]
    biased = restriction.endswith("biased")
    attended = _RESTRICTED_VALUES.format(open=open_keys, attention_mask="whole_bias" if biased else open_keys)
    values = nodes + _values(attended)
    scores = _SCORES + (_BIASED_SCORES if biased else _RESTRICTED_SCORES.format(open=open_keys))
    return {
        ("MultiHeadAttention", restriction): values,
        ("MultiHeadAttention", f"{restriction}_maps"): values + scores + _PROBABILITIES.format(open=open_keys),
    }


_PLAIN_MAPS = (
    _POSITIONS
    + _values(_PLAIN_VALUES)
    + _SCORES
    + _RESTRICTED_SCORES.format(open="positions")
    + _PROBABILITIES.format(open="positions")
)

SEQUENCE_BODIES: dict[tuple[str, str], str] = {
    ("ExternalAttention", ""): _EXTERNAL,
    ("MultiHeadAttention", ""): _values(_PLAIN_VALUES),
    ("MultiHeadAttention", "maps"): _PLAIN_MAPS,
    **{key: body for restriction in _RESTRICTIONS for key, body in _restricted(restriction).items()},
}
