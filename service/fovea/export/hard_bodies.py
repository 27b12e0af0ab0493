"""Bodies of hard attention: the value of one key, the most probable or a drawn one. See `function_bodies.py`.

A draw has the numbers of `fovea.attention.draws`, bit for bit.
"""

from __future__ import annotations

_SCORES = """
    given_scores = Cast<to=1>(Scores)
"""

# A NaN is chosen before any number, so that it does not go unseen.
_NUMBERS = """
    is_nan = IsNaN(given_scores)
    largest = Constant<value_float=inf>()
    scores = Where(is_nan, largest, given_scores)
"""


def _mix(given: str, mixed: str) -> str:
    """The hash of `draws.py` on uint32, whose products wrap around."""
    return f"""
    {mixed}_high = BitShift<direction="RIGHT">({given}, shift_16)
    {mixed}_1 = BitwiseXor({given}, {mixed}_high)
    {mixed}_2 = Mul({mixed}_1, factor_1)
    {mixed}_middle = BitShift<direction="RIGHT">({mixed}_2, shift_15)
    {mixed}_3 = BitwiseXor({mixed}_2, {mixed}_middle)
    {mixed}_4 = Mul({mixed}_3, factor_2)
    {mixed}_low = BitShift<direction="RIGHT">({mixed}_4, shift_16)
    {mixed} = BitwiseXor({mixed}_4, {mixed}_low)
"""


def _steps(axis: int, name: str) -> str:
    """The multiples of the golden constant for each place along an axis of the scores."""
    return f"""
    {name}_size = Shape<start={axis}, end={axis + 1}>(Scores)
    {name}_count = Squeeze({name}_size)
    {name}_end = Add({name}_count, one)
    {name}_places = Range(one, {name}_end, one)
    {name}_numbers = Cast<to=12>({name}_places)
    {name} = Mul({name}_numbers, golden)
"""


_NOISY_SCORES = f"""
    one = Constant<value_int=1>()
    golden = Constant<value = uint32 {{2654435769}}>()
    factor_1 = Constant<value = uint32 {{2146121005}}>()
    factor_2 = Constant<value = uint32 {{2221713035}}>()
    shift_16 = Constant<value = uint32 {{16}}>()
    shift_15 = Constant<value = uint32 {{15}}>()
    seed_bits = Cast<to=13>(seed)
    half = Constant<value = uint64 {{32}}>()
    half_mask = Constant<value = uint64 {{4294967295}}>()
    seed_above = BitShift<direction="RIGHT">(seed_bits, half)
    seed_below = BitwiseAnd(seed_bits, half_mask)
    high = Cast<to=12>(seed_above)
    low = Cast<to=12>(seed_below)
    high_moved = Add(high, golden)
{_mix("high_moved", "high_mixed")}
    row_moved = Add(low, high_mixed)
{_mix("row_moved", "row")}
{_steps(1, "query_steps")}
{_steps(2, "key_steps")}
    last_axis = Constant<value_ints=[-1]>()
    row_column = Unsqueeze(row, last_axis)
    query_moved = Add(row_column, query_steps)
{_mix("query_moved", "query")}
    query_column = Unsqueeze(query, last_axis)
    key_moved = Add(query_column, key_steps)
{_mix("key_moved", "bits")}
    shift_10 = Constant<value = uint32 {{10}}>()
    top_bits = BitShift<direction="RIGHT">(bits, shift_10)
    number = Cast<to=11>(top_bits)
    offset = Constant<value = double {{0.5}}>()
    in_middle = Add(number, offset)
    unit = Constant<value = double {{2.384185791015625e-07}}>()
    uniform = Mul(in_middle, unit)
    logarithm = Log(uniform)
    exponential = Neg(logarithm)
    second_logarithm = Log(exponential)
    gumbel = Neg(second_logarithm)
    noise = Cast<to=1>(gumbel)
    plain_scores = Cast<to=1>(Scores)
    given_scores = Add(plain_scores, noise)
"""

_OPEN_SCORES = """
    open_scores = Where(mask, scores, lowest)
"""

# Before the first key stands one that nobody beats by -inf, with the value 0: a query that may attend nothing gets it.
_CHOICE = """
    before = Constant<value_ints=[1, 0]>()
    key_axis_of_scores = Constant<value_ints=[2]>()
    candidates = Pad({scores}, before, lowest, key_axis_of_scores)
    places = ArgMax<axis=-1, keepdims=1>(candidates)
    key_axis = Constant<value_ints=[1]>()
    nothing_float = Constant<value_float=0.0>()
    nothing = CastLike(nothing_float, V)
    values = Pad(V, before, nothing, key_axis)
    Y = GatherND<batch_dims=1>(values, places)
    first_key = Constant<value_int=1>()
    indices = Sub(places, first_key)
    index_axis = Constant<value_ints=[-1]>()
    Index = Squeeze(indices, index_axis)
"""

_LOWEST = "    lowest = Constant<value_float=-inf>()\n"
_BODIES = {
    "": _LOWEST + _CHOICE.format(scores="scores"),
    "masked": _LOWEST + _OPEN_SCORES + _CHOICE.format(scores="open_scores"),
}

HARD_BODIES: dict[tuple[str, str], str] = {
    **{("HardArgmaxAttention", overload): _SCORES + _NUMBERS + body for overload, body in _BODIES.items()},
    **{("HardSampleAttention", overload): _NOISY_SCORES + _NUMBERS + body for overload, body in _BODIES.items()},
}
