"""Lengths that a model cannot have are told when they are read."""

from itertools import pairwise

import pytest
from pydantic import ValidationError

from fovea.contract.length_problems import problem_of
from fovea.contract.lengths import DEFAULT_BUCKETS, MOST_LENGTHS, LengthChanges, LengthSpec, changed
from fovea.contract.tensor_spec import TensorSpec

TOKENS = TensorSpec(name="tokens", datatype="INT64", shape=(-1, -1))
FIXED = TensorSpec(name="fixed", datatype="FP32", shape=(-1, 16))
TEXT = TensorSpec(name="text", datatype="BYTES", shape=(-1, -1))
SMALL = TensorSpec(name="small", datatype="UINT8", shape=(-1, -1))
HALF = TensorSpec(name="half", datatype="FP16", shape=(-1, -1))
MASK = TensorSpec(name="mask", datatype="BOOL", shape=(-1, -1))
HIDDEN = TensorSpec(name="hidden", datatype="FP32", shape=(-1, -1, 16))
POOLED = TensorSpec(name="pooled", datatype="FP32", shape=(-1, 16))
FITTING = {"inputs": {"tokens": 1}, "mask": "mask", "outputs": {"hidden": [1]}}


def problem(**changes) -> str | None:
    lengths = {"sequence": LengthSpec.model_validate(FITTING | changes)}
    return problem_of(lengths, [TOKENS, FIXED, TEXT, SMALL, HALF, MASK], [HIDDEN, POOLED], [])


def test_sequence_that_fits_has_no_problem():
    assert problem() is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inputs": {"token": 1}}, "unknown input 'token', the model has ['tokens'"),
        ({"inputs": {"fixed": 1}}, "axis 1 must be dynamic (-1) to be a length"),
        ({"inputs": {"tokens": 2}}, "shape [-1, -1], and no axis 2"),
        ({"inputs": {"text": 1}}, "'text' is BYTES, which has no padding"),
        ({"mask": "masks"}, "unknown input 'masks'"),
        ({"mask": "fixed"}, "'fixed' is FP32[-1, 16]; expected numbers or BOOL of shape [-1, -1]"),
        ({"mask": "text"}, "'text' is BYTES[-1, -1]; expected"),
        ({"mask": "tokens"}, "name it as the mask only"),
        ({"padding": {"small": 1}}, "'small' is none of the length's inputs, ['tokens']"),
        ({"padding": {"tokens": 0.5}}, "0.5 does not fit 'tokens', which is INT64"),
        ({"inputs": {"small": 1}, "padding": {"small": 256}}, "256 does not fit 'small', which is UINT8 (0 to 255)"),
        ({"inputs": {"half": 1}, "padding": {"half": -1e9}}, "-1e+09 does not fit 'half', which is FP16 (-65504.0 to"),
        ({"outputs": {"hiden": [1]}}, "unknown output or map 'hiden'"),
        ({"outputs": {"hidden": [2]}}, "axis 2 must be dynamic"),
        ({"outputs": {}}, "say which axes of 'hidden', shape [-1, -1, 16], are of this length"),
    ],
)
def test_problem_tells_what_was_expected(changes, told):
    assert told in (problem(**changes) or "nothing")


@pytest.mark.parametrize("changes", [{"buckets": [8, 8]}, {"buckets": []}, {"buckets": [0]}, {"inputs": {"tokens": 0}}])
def test_nonsense_is_refused_before_a_model_is_seen(changes):
    with pytest.raises(ValidationError):
        LengthSpec.model_validate(FITTING | changes)


def test_length_falls_into_the_smallest_bucket_that_holds_it():
    sequence = LengthSpec(inputs={"tokens": 1}, buckets=(4, 8))
    assert [sequence.bucket(length) for length in (1, 4, 5, 8, 9, 300)] == [4, 4, 8, 8, 9, 300]


def test_default_buckets_never_waste_more_than_a_third_above_the_first():
    assert all(2 * longer <= 3 * shorter for shorter, longer in pairwise(DEFAULT_BUCKETS))


def test_buckets_end_at_the_longest_sequence_that_the_model_takes():
    assert LengthSpec(inputs={"tokens": 1}, longest=70).buckets == (8, 12, 16, 24, 32, 48, 64, 70)
    assert LengthSpec(inputs={"tokens": 1}, longest=64).buckets == (8, 12, 16, 24, 32, 48, 64)
    assert LengthSpec(inputs={"tokens": 1}, longest=2048).buckets == DEFAULT_BUCKETS
    assert LengthSpec(inputs={"tokens": 1}, longest=64, buckets=(16, 32)).buckets == (16, 32)


def test_a_bucket_that_the_model_cannot_run_is_refused():
    with pytest.raises(ValidationError, match="bucket 96 is above longest, 64"):
        LengthSpec(inputs={"tokens": 1}, longest=64, buckets=(32, 96))


CARD = LengthSpec(
    inputs={"tokens": 1}, mask="mask", outputs={"hidden": (1,)}, padding={"tokens": 3}, buckets=(4, 8, 16), longest=16
)


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ({}, {}),
        ({"buckets": [8, 12]}, {"buckets": (8, 12)}),
        ({"padding": {"tokens": 1}}, {"padding": {"tokens": 1}}),
        ({"inputs": {"types": 1}}, {"inputs": {"tokens": 1, "types": 1}}),
        ({"outputs": {"probabilities": [2, 3]}}, {"outputs": {"hidden": (1,), "probabilities": (2, 3)}}),
        ({"longest": 12}, {"longest": 12, "buckets": (4, 8, 12)}),
        ({"padded": False}, {"padded": False}),
    ],
)
def test_what_is_said_of_sequences_is_merged_with_what_is_known(said: dict, changed: dict) -> None:
    assert LengthChanges.model_validate(said).of(CARD) == CARD.model_copy(update=changed)


def test_what_is_said_of_sequences_stands_alone_where_nothing_is_known():
    assert LengthChanges(inputs={"tokens": 1}, mask="mask").of(None) == LengthSpec(inputs={"tokens": 1}, mask="mask")
    with pytest.raises(ValidationError, match="inputs"):
        LengthChanges(mask="mask").of(None)
    with pytest.raises(ValidationError, match="bucket 24 is above longest, 16"):
        LengthChanges(buckets=(8, 24)).of(CARD)


SRC, TGT = TOKENS.model_copy(update={"name": "src"}), TOKENS.model_copy(update={"name": "tgt"})
BIAS = TensorSpec(name="bias", datatype="FP32", shape=(-1, -1, -1))
LOGITS = TensorSpec(name="logits", datatype="FP32", shape=(-1, -1, 7))
CROSS = TensorSpec(name="attention.cross", datatype="FP32", shape=(-1, -1, -1))
NOTHING: dict = {}
TRANSLATOR = {
    "source": {"inputs": {"src": 1, "bias": 2}, "mask": "mask", "outputs": {"attention.cross": [2]}},
    "target": {"inputs": {"tgt": 1, "bias": 1}, "outputs": {"logits": [1], "attention.cross": [1]}},
}


def problem_of_two(source: dict = NOTHING, target: dict = NOTHING) -> str | None:
    facts = {"source": TRANSLATOR["source"] | source, "target": TRANSLATOR["target"] | target}
    lengths = {name: LengthSpec.model_validate(one) for name, one in facts.items()}
    return problem_of(lengths, [SRC, TGT, BIAS, MASK], [LOGITS, POOLED], [CROSS])


def test_inputs_outputs_and_maps_may_have_two_lengths():
    assert problem_of_two() is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"target": {"inputs": {"tgt": 1, "bias": 2}}},
            "target: inputs: axis 2 of 'bias' is of the length 'source' al",
        ),
        (
            {"target": {"outputs": {"logits": [1], "attention.cross": [1, 2]}}},
            "outputs: axis 2 of 'attention.cross' is of",
        ),
        ({"target": {"mask": "mask"}}, "lengths.target: inputs: axis 1 of 'mask' is of the length 'source' already"),
        (
            {"source": {"outputs": {}}},
            "lengths.source: outputs: say which axes of 'attention.cross', shape [-1, -1, -1]",
        ),
        ({"target": {"outputs": {"attention.cross": [1]}}}, "lengths.source: outputs: say which axes of 'logits'"),
        (
            {"source": {"padding": {"bias": 1}}, "target": {"padding": {"bias": 2}}},
            "lengths.target: padding: 'bias' is filled up with 1 already",
        ),
        ({"source": {"inputs": {"sources": 1}}}, "lengths.source: inputs: unknown input 'sources'"),
    ],
)
def test_what_two_lengths_say_must_go_together(changes: dict, told: str) -> None:
    assert told in (problem_of_two(**changes) or "nothing")


def test_an_axis_that_is_no_length_is_said_so_by_each_of_them():
    closed = {"logits": [], "attention.cross": [1]}
    assert problem_of_two(target={"outputs": closed}) is not None
    assert problem_of_two({"outputs": {"logits": [], "attention.cross": [2]}}, {"outputs": closed}) is None


def test_changes_are_of_the_length_that_they_name_and_sequence_is_the_only_one():
    source, target = (LengthSpec.model_validate(facts) for facts in TRANSLATOR.values())
    said = LengthChanges(buckets=(4, 8))
    two = changed({"source": source, "target": target}, {"target": said})
    assert two == {"source": source, "target": target.model_copy(update={"buckets": (4, 8)})}
    assert changed({"source": source}, {"sequence": said}) == {"source": source.model_copy(update={"buckets": (4, 8)})}
    with pytest.raises(ValueError, match="sequence: the model has the lengths source, target: say which one"):
        changed({"source": source, "target": target}, {"sequence": said})
    with pytest.raises(ValueError, match=r"lengths\.frames: inputs: "):
        changed({"source": source, "target": target}, {"frames": said})


def test_lengths_are_few():
    many = {f"length_{place}": LengthChanges(inputs={"src": 1}) for place in range(MOST_LENGTHS + 1)}
    with pytest.raises(ValueError, match="lengths: expected at most 6, there are 7"):
        changed({}, many)
