"""Each kernel gives its formula's answer, whatever the sizes, the instruction set, the element type and the threads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fovea.runtime.processor import KERNEL_CODE, this_processor
from kernel_cases import CASES, GATED, HARD, SCORED, Case, external_case, hard_case, head_case, map_case, score_case
from kernel_formulas import formula
from kernel_nodes import run_chain, run_node

FLOOR = 2e-6
"""Of an error, relative to the largest value: kernels sum in another order, and take exponentials of their own."""
HALF_STEP, HALF_LEAST = 2.0**-11, 2.0**-25
"""What rounding to float16 costs: relative to the value, and where it is subnormal."""
SHORT = [case for case in CASES if case.inputs[next(iter(case.inputs))].size < 4000]
MAPS = [map_case(name, (1, 64, 56, 56)) for name in (*GATED, "CBAMAddRelu", "SimAMAddRelu")]
SEQUENCES = [
    *(score_case(name, (1, 200, 65, 40, 64), masked=True) for name in SCORED),
    external_case((1, 196, 64, 32)),
    *(hard_case(name, (1, 2000, 65, 40, 64), masked=True) for name in HARD),
    head_case((1, 2, 200, 250, 16, 33), form="B1QK", causal=1),
]


@pytest.fixture(scope="session")
def forced(kernel_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The library on one instruction set. It chooses when it is first used, so each choice is a copy of its own."""
    folder = tmp_path_factory.mktemp("isa")

    def copy(isa: str) -> Path:
        if not KERNEL_CODE[isa] <= this_processor().flags:
            pytest.skip(f"this processor has no {isa}")
        library = folder / f"{isa}.so"
        if not library.exists():
            shutil.copy(kernel_library, library)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("FOVEA_KERNELS_ISA", isa)
                run_node(library, "SqueezeGate", map_case("SqueezeGate", (1, 1, 1, 1)).inputs)
        return library

    return copy


def assert_agrees(library: Path, case: Case, **how: object) -> None:
    """At most twice the error of the plain float32 formula, plus the floor and what rounding to float16 costs."""
    actual = run_node(library, case.operator, case.inputs, settings=case.settings, **how)
    exact = formula(case.operator, case.inputs, case.settings, np.float64)
    plain = formula(case.operator, case.inputs, case.settings, np.float32)
    for got, right, single in zip(actual, exact, plain, strict=True):
        assert got.shape == right.shape
        largest = np.abs(right).max(initial=0.0)
        allowed = 2 * np.abs(single - right).max(initial=0.0) + FLOOR * largest
        rounding = HALF_STEP * np.abs(right) + HALF_LEAST if got.dtype == np.float16 else 0.0
        assert (np.abs(got - right) <= allowed + rounding).all()


@pytest.mark.parametrize("isa", KERNEL_CODE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_float32_kernel_gives_the_formulas_answer(forced, isa, case):
    assert_agrees(forced(isa), case)


@pytest.mark.parametrize("isa", KERNEL_CODE)
@pytest.mark.parametrize("case", SHORT, ids=str)
def test_float16_kernel_gives_the_formulas_answer(forced, isa, case):
    assert_agrees(forced(isa), case.with_dtype(np.float16))


@pytest.mark.parametrize("case", [*MAPS, *SEQUENCES], ids=str)
@pytest.mark.parametrize("rows", [1, 9])
def test_two_threads_give_exactly_what_one_gives(kernel_library, case, rows):
    first = next(iter(case.inputs))
    per_row = {"X", "S", "R", "Q", "K", "V", "mask", "bias", "Scores", "seed"}
    inputs = {
        name: np.concatenate([array] * rows)[:rows] if name in per_row else array for name, array in case.inputs.items()
    }
    assert len(inputs[first]) == rows
    one, two = (
        run_node(kernel_library, case.operator, inputs, settings=case.settings, threads=threads) for threads in (1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("case", [*MAPS, *SEQUENCES], ids=str)
def test_answer_is_the_same_with_and_without_its_maps(kernel_library, case):
    with_maps = run_node(kernel_library, case.operator, case.inputs, settings=case.settings)
    alone = run_node(kernel_library, case.operator, case.inputs, settings=case.settings, wanted=[0])
    assert len(alone) == 1
    assert np.array_equal(alone[0], with_maps[0])


def test_memories_that_are_constants_of_the_graph_give_the_same_answer(kernel_library):
    assert_agrees(kernel_library, external_case((2, 7, 5, 3)), constant=("Mk", "Mv"))


@pytest.mark.parametrize("scale", [1e-3, 15.0, 300.0])
def test_additive_scores_hold_for_tiny_and_for_saturated_sums(kernel_library, scale):
    assert_agrees(kernel_library, score_case("AdditiveAttention", (2, 9, 17, 16, 8), scale=scale))


@pytest.mark.parametrize("isa", KERNEL_CODE)
def test_hard_attention_reads_a_nan_before_any_number(forced, isa):
    case = hard_case("HardArgmaxAttention", (1, 3, 40, 1, 2))
    case.inputs["Scores"][0, 1, 33] = np.nan
    case.inputs["Scores"][0, 2] = np.nan
    _, index = run_node(forced(isa), case.operator, case.inputs)
    assert index[0, 1:].tolist() == [33, 0]


@pytest.mark.parametrize("isa", KERNEL_CODE)
@pytest.mark.parametrize(("middle", "weight"), [(5.0, 3.0), (15.0, 3.0), (19.0, None)])
def test_additive_scores_hold_where_large_queries_meet_large_opposite_keys(forced, isa, middle, weight):
    case = score_case("AdditiveAttention", (2, 9, 17, 128, 8), scale=0.3)
    moved = {"Q": case.inputs["Q"] + np.float32(middle), "K": case.inputs["K"] - np.float32(middle)}
    weights = {} if weight is None else {"v": np.full(128, weight, np.float32)}
    assert_agrees(forced(isa), Case(case.operator, case.inputs | moved | weights))


@pytest.mark.parametrize("isa", KERNEL_CODE)
@pytest.mark.parametrize("operator", ["SqueezeExcitation", "CBAM", "SimAM"])
def test_large_planes_far_from_zero_keep_their_mean(forced, isa, operator):
    case = map_case(operator, (1, 2, 1024, 512), 3)
    assert_agrees(forced(isa), Case(operator, case.inputs | {"X": case.inputs["X"] + np.float32(100)}, case.settings))


@pytest.mark.parametrize("isa", KERNEL_CODE)
@pytest.mark.parametrize("keys", [1, 5, 17, 18, 33])
@pytest.mark.parametrize("masked", [False, True])
def test_a_nan_among_the_scores_is_not_hidden(forced, isa, keys, masked):
    case = score_case("DotAttention", (1, 1, keys, 4, 3))
    case.inputs["Q"][:] = np.nan
    if masked:
        case.inputs["mask"] = np.arange(keys)[None, None] < max(keys - 1, 1)
    y, p = run_node(forced(isa), case.operator, case.inputs, settings=case.settings)
    assert np.isnan(y).all()
    assert np.isnan(p[case.inputs.get("mask", np.ones_like(p, bool))]).all()


def test_keys_far_below_the_best_one_get_exactly_nothing(kernel_library):
    case = score_case("DistanceAttention", (1, 2, 40, 8, 3))
    case.inputs["K"][:, 4:] += 1e3
    p = run_node(kernel_library, case.operator, case.inputs, settings=case.settings)[1]
    assert (p[..., 4:] == 0).all()


def test_float16_result_beyond_its_range_is_infinite(kernel_library):
    case = map_case("SqueezeGateAddRelu", (1, 3, 4, 9)).with_dtype(np.float16)
    large = {name: np.full_like(array, 60000) for name, array in case.inputs.items()}
    assert np.isposinf(run_node(kernel_library, case.operator, large, wanted=[0])[0]).all()


@pytest.mark.parametrize("operator", [*GATED, *(f"{name}AddRelu" for name in GATED)])
def test_block_whose_input_nobody_else_needs_works_in_place(kernel_library, operator):
    case = map_case(operator, (3, 16, 14, 14))
    halved = case.inputs | {"X": case.inputs["X"] / 2}
    chain = run_chain(kernel_library, operator, halved, settings=case.settings)
    alone = run_node(kernel_library, operator, case.inputs, settings=case.settings, wanted=[0])[0]
    assert np.array_equal(chain, alone)


def test_close_queries_and_keys_far_from_the_origin_keep_their_distance(kernel_library):
    case = score_case("DistanceAttention", (1, 5, 9, 16, 4), scale=0.1)
    far = {name: array + np.float32(1000) if name in "QK" else array for name, array in case.inputs.items()}
    assert_agrees(kernel_library, Case(case.operator, far, case.settings))


@pytest.mark.parametrize("operator", ["SqueezeExcitation", "CBAM", "SimAM"])
@pytest.mark.parametrize("value", [1e30, 1e-30, 0.0])
def test_extreme_planes_give_finite_gates(kernel_library, operator, value):
    case = map_case(operator, (1, 4, 5, 5))
    outputs = run_node(
        kernel_library, operator, case.inputs | {"X": np.full((1, 4, 5, 5), value, np.float32)}, settings=case.settings
    )
    assert all(np.isfinite(array).all() for array in outputs)


@pytest.mark.parametrize("operator", GATED)
def test_planes_without_a_pixel_give_planes_without_a_pixel(kernel_library, operator):
    case = map_case(operator, (2, 4, 0, 5))
    assert run_node(kernel_library, operator, case.inputs, settings=case.settings)[0].shape == (2, 4, 0, 5)


@pytest.mark.parametrize("operator", ["SqueezeExcitation", "SimAMAddRelu", "SpatialAttention"])
def test_a_nan_is_not_hidden(kernel_library, operator):
    case = map_case(operator, (1, 4, 5, 5))
    case.inputs["X"][0, 1, 2, 3] = np.nan
    y = run_node(kernel_library, operator, case.inputs, settings=case.settings, wanted=[0])[0]
    assert np.isnan(y[0, 1, 2, 3])


@pytest.mark.parametrize("isa", KERNEL_CODE)
@pytest.mark.parametrize("operator", ["MaxPoolAttention", "MaxPoolAttentionAddRelu"])
def test_max_pooling_passes_a_nan_wherever_it_stands_and_nothing_beside_it(forced, isa, operator):
    for place in range(9):
        case = replace(map_case(operator, (1, 2, 7, 20)), settings={"size": 3})
        case.inputs["X"][0, 0, place // 3, place % 3] = np.nan
        case.inputs["X"][0, 1, 3, 3:] = -np.inf
        actual = run_node(forced(isa), operator, case.inputs, settings=case.settings)
        for got, right in zip(actual, formula(operator, case.inputs, case.settings, np.float32), strict=True):
            np.testing.assert_array_equal(got, right)


WRONG_SHAPES = {
    "X is [2, 4, 5], expected [-1, -1, -1, -1]": ("SimAM", {"X": (2, 4, 5)}),
    "X is [2, 0, 5, 5], expected at least one channel": ("SpatialAttention", {"X": (2, 0, 5, 5)}),
    "W1 is [4, 9], expected [-1, 8]": ("SqueezeExcitation", {"W1": (4, 9)}),
    "B2 is [7], expected [8]": ("CBAM", {"B2": (7,)}),
    "W is [1, 2, 3, 5], expected a square kernel of odd size": ("SpatialAttention", {"W": (1, 2, 3, 5)}),
    "R is [2, 8, 5, 4], expected [2, 8, 5, 5]": ("CBAMAddRelu", {"R": (2, 8, 5, 4)}),
    "K is [3, 4, 6], expected [2, -1, 6]": ("DotAttention", {"K": (3, 4, 6)}),
    "V is [2, 5, 3], expected [2, 4, -1]": ("DistanceAttention", {"V": (2, 5, 3)}),
    "v is [5], expected [6]": ("AdditiveAttention", {"v": (5,)}),
    "W is [6, 5], expected [6, 8]": ("BilinearAttention", {"W": (6, 5)}),
    "mask is [2, 1, 4], expected [2, 3, 4]": ("DotAttention", {"mask": (2, 1, 4)}),
    "Scores is [2, 4], expected [-1, -1, -1]": ("HardArgmaxAttention", {"Scores": (2, 4)}),
    "V is [2, 5, 3], expected [2, 4, -1] ": ("HardArgmaxAttention", {"V": (2, 5, 3)}),
    "mask is [2, 1, 4], expected [2, 3, 4] ": ("HardSampleAttention", {"mask": (2, 1, 4)}),
    "seed is [3], expected [2]": ("HardSampleAttention", {"seed": (3,)}),
    "Mv is [3, 6], expected [4, 6]": ("ExternalAttention", {"Mv": (3, 6)}),
}


@pytest.mark.parametrize("text", WRONG_SHAPES)
def test_wrong_shape_is_refused_with_both_shapes(kernel_library, text):
    operator, wrong = WRONG_SHAPES[text]
    case = (
        map_case(operator, (2, 8, 5, 5), 3)
        if operator.removesuffix("AddRelu") in GATED
        else external_case((2, 5, 6, 4))
        if operator == "ExternalAttention"
        else hard_case(operator, (2, 3, 4, 6, 3), masked=True)
        if operator in HARD
        else score_case(operator, (2, 3, 4, 6, 3), masked=True)
    )
    replaced = {
        name: np.zeros(shape, {"mask": bool, "seed": np.int64}.get(name, np.float32)) for name, shape in wrong.items()
    }
    with pytest.raises(Exception, match=r"ai\.fovea::") as refused:
        run_node(kernel_library, operator, case.inputs | replaced, settings=case.settings)
    assert f"{operator}: {text.strip()}" in str(refused.value)


def test_squeeze_and_excitation_that_says_nothing_of_its_form_has_a_relu_and_a_sigmoid(kernel_library):
    case = map_case("SqueezeExcitation", (2, 8, 5, 5))
    silent, said = (run_node(kernel_library, case.operator, case.inputs, settings=form) for form in ({}, case.settings))
    assert all(np.array_equal(one, other) for one, other in zip(silent, said, strict=True))


def test_an_activation_that_the_kernel_lacks_is_refused_by_name(kernel_library):
    case = map_case("SqueezeExcitation", (2, 8, 5, 5))
    with pytest.raises(Exception, match="activation is gelu, expected relu, silu or hard_swish"):
        run_node(kernel_library, case.operator, case.inputs, settings={"activation": "gelu", "slope": 0.0})
