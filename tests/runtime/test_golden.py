"""A golden batch is kept exactly, and every way to disagree with it is seen."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from fovea.contract.errors import ModelBroken
from fovea.runtime.description import specs
from fovea.runtime.device import CPU
from fovea.runtime.golden import Golden, check_golden, disagreements, read_golden, write_golden
from fovea.runtime.golden_places import Places
from fovea.runtime.ort_session import SessionSettings, open_session
from fovea.runtime.session import ModelSession
from fovea.runtime.signature import Signature

X = np.arange(33, dtype=np.float32).reshape(11, 3)
RIGHT = {"y": X.astype(np.float64) * 2}


@pytest.fixture
def doubling(tmp_path, save_model, tensor) -> ModelSession:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    path = save_model(tmp_path / "model.onnx", [node], [tensor("x", ["N", 3])], [tensor("y", ["N", 3])])
    session = open_session(path, SessionSettings())
    return ModelSession(session, Signature(*specs(session), batched=True, max_batch_rows=4), CPU)


def golden(outputs: dict[str, np.ndarray], inputs: dict[str, np.ndarray] | None = None) -> Golden:
    return Golden(inputs or {"x": X}, outputs, {})


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "golden.npz"
    write_golden(path, {"x": X}, {"y": X, "label": np.array([3])}, {"attention.a": X})
    read = read_golden(path)
    assert read.inputs["x"].dtype == np.float32
    assert read.outputs["y"].dtype == read.maps["attention.a"].dtype == np.float64
    assert read.outputs["label"].dtype == np.int64
    assert np.array_equal(read.inputs["x"], X)


PLANES = np.random.default_rng(0).standard_normal((4, 256, 56, 56), dtype=np.float32)
"""What SimAM's first block in a ResNet-50 has as its map."""


def channel(weights: np.ndarray) -> None:
    weights[2, 77] += 0.5


def remainders(weights: np.ndarray) -> None:
    weights[..., -1, -8:] += 0.5


def last_number(weights: np.ndarray) -> None:
    weights[:, -1, -1, -1] += 0.5


def shift(weights: np.ndarray) -> None:
    weights[:] = np.roll(weights, 1, axis=-1)


def rows_swapped(weights: np.ndarray) -> None:
    weights[[0, 1]] = weights[[1, 0]]


def is_nan(weights: np.ndarray) -> None:
    weights[3, 200] = np.nan


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A golden batch with as many maps as a ResNet-50 has blocks, and a picture of classes for a pixel."""
    path = tmp_path_factory.mktemp("golden") / "golden.npz"
    maps = {f"attention.{block}": PLANES if block == 0 else PLANES[:, :, :28, :28] for block in range(16)}
    write_golden(path, {"x": X[:4]}, {"y": X[:4], "pixels": PLANES[:, :21]}, maps)
    return path


def test_a_golden_file_is_bounded_and_small_answers_are_whole(large):
    assert large.stat().st_size <= 8 << 20
    read = read_golden(large)
    assert np.array_equal(read.outputs["y"], X[:4])
    assert len(read.maps["attention.0"][0]) > 10_000


@pytest.mark.parametrize("wrong", [channel, remainders, last_number, shift, rows_swapped, is_nan])
def test_a_wrong_map_is_seen_at_the_places_that_are_kept(large, wrong):
    read = read_golden(large)
    assert disagreements({"attention.0": PLANES}, read, {"attention.0": 1e-6}) == []
    weights = PLANES.copy()
    wrong(weights)
    assert disagreements({"attention.0": weights}, read, {"attention.0": 0.1}) != []


def test_places_meet_every_plane_and_every_column_of_it():
    flat = Places.spread((256, 56, 56), 4096).flat
    assert len(set(flat // 56**2)) == 256
    assert len(set(flat % 56)) == 56


def test_places_that_do_not_fit_are_told(tmp_path, large):
    entries = dict(np.load(large))
    for entry, value, told in (
        ("places/pixels", np.array([2**40]), "places beyond a row of shape [21, 56, 56]"),
        ("places/pixels", np.zeros((1, 1), np.int64), "places are a list of whole numbers"),
        ("places/pixels", np.zeros(2, np.int64), "at 2 places"),
        ("shapes/pixels", np.array([1]), "places beyond a row of shape [1]"),
    ):
        np.savez(tmp_path / "golden.npz", **(entries | {entry: value}))
        with pytest.raises(ModelBroken, match=f"cannot be read: .*{re.escape(told)}"):
            read_golden(tmp_path / "golden.npz")
    assert disagreements({"pixels": PLANES}, read_golden(large), {"pixels": 1.0}) == [
        "pixels: shape [4, 256, 56, 56] instead of [4, 21, 56, 56]"
    ]


def test_objects_are_never_pickled(tmp_path):
    with pytest.raises(ValueError, match="numbers only"):
        write_golden(tmp_path / "golden.npz", {"x": np.array([{}])}, {}, {})
    np.savez(tmp_path / "evil.npz", **{"inputs/x": np.array([{}], np.object_)})
    with pytest.raises(ModelBroken, match=r"evil\.npz cannot be read"):
        read_golden(tmp_path / "evil.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_damaged_file_is_told(tmp_path: Path, content):
    path = tmp_path / "golden.npz"
    path.write_bytes(content)
    with pytest.raises(ModelBroken, match=r"golden\.npz cannot be read"):
        read_golden(path)


def test_file_without_inputs_is_told(tmp_path):
    write_golden(tmp_path / "golden.npz", {}, {"y": X}, {})
    with pytest.raises(ModelBroken, match="no inputs"):
        read_golden(tmp_path / "golden.npz")


def test_right_answers_agree_though_the_batch_is_larger_than_the_session_takes(doubling):
    assert check_golden(doubling, golden(RIGHT), {"y": 0.0}) == []


def test_deviation_beyond_the_tolerance_is_told_with_its_size(doubling):
    wrong = RIGHT["y"].copy()
    wrong[10, 2] += 0.5
    assert check_golden(doubling, golden({"y": wrong}), {"y": 0.4}) == ["y: off by 0.5, allowed 0.4"]
    assert check_golden(doubling, golden({"y": wrong}), {"y": 0.6}) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_number_that_is_none_never_agrees(doubling, bad):
    x = X.copy()
    x[0, 0] = bad
    assert len(check_golden(doubling, golden({"y": x.astype(np.float64) * 2}, {"x": x}), {"y": 1e9})) == 1


def test_missing_tolerance_answer_or_shape_is_a_disagreement(doubling):
    assert check_golden(doubling, golden(RIGHT), {}) == ["y: no tolerance in the card"]
    assert check_golden(doubling, golden({"z": X}), {"y": 1}) == ["y: no golden answer"]
    assert check_golden(doubling, golden({"y": X[:5]}), {"y": 1}) == ["y: shape [11, 3] instead of [5, 3]"]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"other": X}, "its input x is missing"),
        ({"x": X.astype(np.float64)}, "its input x is float64, not FP32"),
        ({"x": X[:0]}, "its input x has shape [0, 3], not [-1, 3]"),
        ({"x": X[0]}, "its input x has shape [3], not [-1, 3]"),
    ],
)
def test_unfit_input_is_a_disagreement(doubling, inputs, reason):
    assert check_golden(doubling, golden(RIGHT, inputs), {"y": 1}) == [f"the golden batch failed: {reason}"]
