"""Kernels are used where they are right and quick, and never where they are not."""

from pathlib import Path

import numpy as np
import pytest

from fovea.contract.errors import Misconfigured
from fovea.runtime.kernel_library import LIBRARY_NAME, find_kernel_library
from fovea.runtime.loading import LoadedVersion, LoadSettings, load_version
from fovea.runtime.profile import profile_attention
from fovea.runtime.session import SessionSettings


def load(folder: Path, library: Path | None) -> LoadedVersion:
    return load_version(folder, "simam", 1, LoadSettings(session=SessionSettings(kernel_library=library)))


def largest_error(version: LoadedVersion) -> float:
    with np.load(version.path / "golden.npz") as golden:
        answer = version.session.infer({"image": golden["inputs/image"]})["features"]
        return float(np.abs(answer - golden["outputs/features"]).max())


def test_right_kernel_is_used(version_folder, build_kernels):
    version = load(version_folder, build_kernels("RIGHT"))
    assert (version.kernels, version.kernels_reason) == ("fused", "")
    assert largest_error(version) < 1e-5


def test_wrong_kernel_is_caught_and_the_bodies_answer_rightly(version_folder, build_kernels, caplog):
    caplog.set_level("INFO")
    version = load(version_folder, build_kernels("WRONG"))
    assert version.kernels == "body"
    assert "features: off by" in version.kernels_reason
    assert version.kernels_reason in caplog.text
    assert largest_error(version) < 1e-5
    assert np.allclose(version.open_instance().infer({"image": np.zeros((1, 4, 8, 8), np.float32)})["features"], 0)


def test_slow_kernel_loses_the_race(version_folder, build_kernels):
    version = load(version_folder, build_kernels("SLOW"))
    assert version.kernels == "body"
    assert "kernels took" in version.kernels_reason


def test_library_without_a_kernel_for_the_model_is_not_said_to_be_used(version_folder, build_kernels):
    version = load(version_folder, build_kernels("OTHER"))
    assert version.kernels == "body"
    assert "no kernel for this model's operators" in version.kernels_reason


def test_file_that_is_no_library_is_passed_over(version_folder, tmp_path):
    library = tmp_path / LIBRARY_NAME
    library.write_text("no library")
    version = load(version_folder, library)
    assert version.kernels == "body"
    assert LIBRARY_NAME in version.kernels_reason
    assert largest_error(version) < 1e-5


def test_kernels_that_cannot_be_verified_are_not_used(version_folder, build_kernels, rewrite_card):
    (version_folder / "golden.npz").unlink()
    rewrite_card(version_folder)
    version = load(version_folder, build_kernels("RIGHT"))
    assert (version.kernels, version.kernels_reason) == ("body", "no golden batch to verify kernels with")


@pytest.mark.parametrize("variant", ["RIGHT", "WRONG"])
def test_maps_are_right_with_any_library(version_folder, build_kernels, variant):
    maps = load(version_folder, build_kernels(variant)).open_maps()
    with np.load(version_folder / "golden.npz") as golden:
        answer = maps.infer({"image": golden["inputs/image"]})
        assert list(answer) == ["features", "attention.block"]
        assert np.abs(answer["attention.block"] - golden["maps/attention.block"]).max() < 1e-5


def test_profile_names_the_operator_that_a_kernel_runs(version_folder, build_kernels):
    version = load(version_folder, build_kernels("RIGHT"))
    image = np.zeros((4, 4, 8, 8), np.float32)
    assert list(profile_attention(version, {"image": image})) == ["SimAM"]


def test_explicit_library_goes_before_the_usual_places(tmp_path):
    library = tmp_path / "mine.so"
    library.touch()
    assert find_kernel_library(library) == library


def test_explicit_library_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match=r"mine\.so"):
        find_kernel_library(tmp_path / "mine.so")
