"""Bodies of the score functions over queries, keys and values. How to write one: `function_bodies.py`."""

from __future__ import annotations

# One product of the matrix of all hidden units with v: 1.5 ms for 8x32 queries, 64 keys, 128 units on one core, where
# a product with a vector takes 8 ms, one with a column 2.0, multiplying and summing 2.1. Adding and tanh are 1.1 of it.
_ADDITIVE_SCORES = """
    after_queries = Constant<value_ints=[2]>()
    before_keys = Constant<value_ints=[1]>()
    query_rows = Unsqueeze(Q, after_queries)
    key_rows = Unsqueeze(K, before_keys)
    sums = Add(query_rows, key_rows)
    hidden = Tanh(sums)
    hidden_rows = Flatten<axis=3>(hidden)
    first_axis = Constant<value_ints=[0]>()
    v_row = Unsqueeze(v, first_axis)
    flat_scores = Gemm<transB=1>(v_row, hidden_rows)
    score_shape = Shape<start=0, end=3>(hidden)
    scores = Reshape<allowzero=1>(flat_scores, score_shape)
"""

# |q|² + |k|² - 2 q·k loses most of its digits where q and k are near, and float64 has them to lose. 0.25 ms for 8x32
# queries, 64 keys, 128 features on one core; summing (q - k)² takes 1.4 ms and room for all differences at once.
_DISTANCE_SCORES = """
    q = Cast<to=11>(Q)
    k = Cast<to=11>(K)
    feature_axis = Constant<value_ints=[-1]>()
    query_squares = Mul(q, q)
    query_norms = ReduceSum<keepdims=1>(query_squares, feature_axis)
    key_squares = Mul(k, k)
    key_norms = ReduceSum<keepdims=0>(key_squares, feature_axis)
    before_keys = Constant<value_ints=[1]>()
    key_norm_row = Unsqueeze(key_norms, before_keys)
    norms = Add(query_norms, key_norm_row)
    keys_transposed = Transpose<perm=[0, 2, 1]>(k)
    products = MatMul(q, keys_transposed)
    minus_two_float = Constant<value_float=-2.0>()
    minus_two = Cast<to=11>(minus_two_float)
    cross_terms = Mul(products, minus_two)
    distances = Add(norms, cross_terms)
    distances_float = Cast<to=1>(distances)
    scale = Constant<value_float: float = @scale>()
    scaled = Mul(distances_float, scale)
    scores = Neg(scaled)
"""

# The scale goes to the queries: half precision then holds products that it would not before.
_DOT_SCORES = """
    scale_float = Constant<value_float: float = @scale>()
    scale = CastLike(scale_float, Q)
    scaled_queries = Mul({queries}, scale)
    keys_transposed = Transpose<perm=[0, 2, 1]>(K)
    scores = MatMul(scaled_queries, keys_transposed)
"""

_BILINEAR_SCORES = "    projected = MatMul(Q, W)\n" + _DOT_SCORES.format(queries="projected")

_SOFTMAX_VALUES = """
    probabilities = Softmax<axis=-1>(scores)
    P = CastLike(probabilities, V)
    Y = MatMul(P, V)
"""

# The lowest number, not one that is merely low: distances may be large. A row of nothing else is zeros in the end.
_MASKED_SOFTMAX_VALUES = """
    lowest_float = Constant<value_float=-3.4e38>()
    lowest = CastLike(lowest_float, scores)
    masked_scores = Where(mask, scores, lowest)
    probabilities = Softmax<axis=-1>(masked_scores)
    nothing_float = Constant<value_float=0.0>()
    nothing = CastLike(nothing_float, scores)
    shares = Where(mask, probabilities, nothing)
    P = CastLike(shares, V)
    Y = MatMul(P, V)
"""

_SCORES: dict[str, str] = {
    "AdditiveAttention": _ADDITIVE_SCORES,
    "DistanceAttention": _DISTANCE_SCORES,
    "DotAttention": _DOT_SCORES.format(queries="Q"),
    "BilinearAttention": _BILINEAR_SCORES,
}

SCORE_BODIES: dict[tuple[str, str], str] = {
    **{(name, ""): scores + _SOFTMAX_VALUES for name, scores in _SCORES.items()},
    **{(name, "masked"): scores + _MASKED_SOFTMAX_VALUES for name, scores in _SCORES.items()},
}
