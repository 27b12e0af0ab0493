"""Kernels are used where they are right and quick, and never where they are not."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fovea.contract.attention import AttentionType
from fovea.contract.attention_layer import AttentionLayer
from fovea.contract.errors import Misconfigured, ModelBroken
from fovea.runtime.kernel_library import (
    LIBRARY_NAME,
    Cause,
    Obstacle,
    find_kernel_library,
    kernels_on_offer,
)
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.loading import load_version
from fovea.runtime.ort_session import SessionSettings
from fovea.runtime.probe import ProbeLimits
from fovea.runtime.profile import profile_attention
from kernel_builds import builder


def load(folder: Path, library: Path | None, **settings: object) -> LoadedVersion:
    return load_version(folder, "simam", 1, LoadSettings(session=SessionSettings(kernel_library=library), **settings))


def largest_error(version: LoadedVersion) -> float:
    with np.load(version.path / "golden.npz") as golden:
        answer = version.session.infer({"image": golden["inputs/image"]})["features"]
        return float(np.abs(answer - golden["outputs/features"]).max())


def test_right_kernel_is_used(version_folder, build_kernels):
    version = load(version_folder, build_kernels("RIGHT"))
    assert (version.kernels, version.kernels_cause, version.kernels_reason) == ("fused", "", "")
    assert largest_error(version) < 1e-5


def test_wrong_kernel_is_caught_and_the_bodies_answer_rightly(version_folder, build_kernels, caplog):
    caplog.set_level("INFO")
    version = load(version_folder, build_kernels("WRONG"))
    assert (version.kernels, version.kernels_cause) == ("body", "failed")
    assert "features: off by" in version.kernels_reason
    assert version.kernels_reason in caplog.text
    assert largest_error(version) < 1e-5
    assert np.allclose(version.open_instance().infer({"image": np.zeros((1, 4, 8, 8), np.float32)})["features"], 0)


def test_slow_kernel_loses_the_race(version_folder, build_kernels):
    version = load(version_folder, build_kernels("SLOW"))
    assert (version.kernels, version.kernels_cause) == ("body", "slower")
    assert "kernels took" in version.kernels_reason


@pytest.mark.parametrize("variant", ["CRASH", "CRASH_ON_LOAD"])
def test_kernel_that_ends_its_process_is_never_loaded_here_and_the_bodies_answer_rightly(
    version_folder, build_kernels, variant
):
    library = build_kernels(variant)
    version = load(version_folder, library)
    assert (version.kernels, version.kernels_cause) == ("body", "crashed")
    assert version.kernels_reason == "with kernels: the process that tried them ended with status -6"
    assert largest_error(version) < 1e-5
    version.open_maps()
    assert library.name not in Path("/proc/self/maps").read_text()
    assert load(version_folder, build_kernels("RIGHT")).kernels == "fused"


def test_kernel_that_hangs_costs_a_version_nothing_but_its_kernels(version_folder, build_kernels):
    begin_s = time.monotonic()
    version = load(version_folder, build_kernels("HANG"), probe=ProbeLimits(seconds=2))
    assert time.monotonic() - begin_s < 10
    assert (version.kernels, version.kernels_cause) == ("body", "crashed")
    assert version.kernels_reason == "with kernels: not run once within 2 s"
    assert largest_error(version) < 1e-5


def test_library_without_a_kernel_for_the_model_is_not_said_to_be_used(version_folder, build_kernels):
    version = load(version_folder, build_kernels("OTHER"))
    assert (version.kernels, version.kernels_cause) == ("body", "no_kernel")
    assert version.kernels_reason == "libOTHER.so has no kernel for SimAM"


def test_file_that_is_no_library_is_passed_over(version_folder, tmp_path):
    library = tmp_path / LIBRARY_NAME
    library.write_text("no library")
    version = load(version_folder, library)
    assert (version.kernels, version.kernels_cause) == ("body", "failed")
    assert LIBRARY_NAME in version.kernels_reason
    assert largest_error(version) < 1e-5


def test_kernels_that_cannot_be_verified_are_not_used(version_folder, build_kernels, rewrite_card):
    (version_folder / "golden.npz").unlink()
    rewrite_card(version_folder)
    version = load(version_folder, build_kernels("RIGHT"))
    assert (version.kernels, version.kernels_reason) == ("body", "no golden batch to verify kernels with")


def test_required_kernels_do_not_race(version_folder, build_kernels):
    assert load(version_folder, build_kernels("SLOW"), kernels_required=True).kernels == "fused"


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("WRONG", "kernels are required: with kernels: not the golden answers: features: off by"),
        ("CRASH", "kernels are required: with kernels: the process that tried them ended with status -6"),
        ("OTHER", "kernels are required: libOTHER.so has no kernel for SimAM"),
    ],
)
def test_version_whose_required_kernels_cannot_run_is_not_served(version_folder, build_kernels, variant, reason):
    with pytest.raises(ModelBroken, match=reason):
        load(version_folder, build_kernels(variant), kernels_required=True)


def test_operator_that_onnx_runtime_fuses_needs_no_kernel(version_folder, build_kernels, rewrite_card):
    layer = AttentionLayer(name="block", attention=AttentionType.MULTI_HEAD, operator="MultiHeadAttention")
    rewrite_card(version_folder, layers=(layer,))
    version = load(version_folder, build_kernels("OTHER"), kernels_required=True)
    assert (version.kernels, version.kernels_cause) == ("body", "not_needed")
    assert version.kernels_reason == "ONNX Runtime's own kernel runs MultiHeadAttention"


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


def test_each_run_tells_what_its_kernels_took(version_folder, build_kernels):
    version = load(version_folder, build_kernels("TALLY"))
    for rows in (3, 8, 1):
        version.session.infer({"image": np.zeros((rows, 4, 8, 8), np.float32)})
        assert version.session.attention_s == {"SimAM": pytest.approx(rows * 1e-3)}
    assert version.profiled_operators == set()


def test_sessions_of_one_thread_do_not_count_for_one_another(version_folder, build_kernels):
    version = load(version_folder, build_kernels("TALLY"))
    second, maps = version.open_instance(), version.open_maps()
    image = np.zeros((2, 4, 8, 8), np.float32)
    for session in (maps, second, version.session):
        session.infer({"image": image})
        assert session.attention_s == {"SimAM": pytest.approx(2e-3)}


@pytest.mark.parametrize("variant", ["RIGHT", "WRONG", None])
def test_without_a_tally_runs_tell_nothing_and_the_operator_is_left_to_the_profiler(
    version_folder, build_kernels, variant
):
    version = load(version_folder, variant and build_kernels(variant))
    version.session.infer({"image": np.zeros((2, 4, 8, 8), np.float32)})
    assert version.session.attention_s == {}
    assert version.profiled_operators == {"SimAM"}


def test_explicit_library_goes_before_the_usual_places(tmp_path):
    library = tmp_path / "mine.so"
    library.touch()
    assert find_kernel_library(library) == library


def test_explicit_library_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match=r"mine\.so"):
        find_kernel_library(tmp_path / "mine.so")


def test_kernels_that_are_off_are_not_looked_for(tmp_path):
    assert kernels_on_offer("off", tmp_path / "mine.so") == Obstacle(Cause.OFF, "kernels are turned off")


def test_library_that_the_build_could_not_make_is_told_with_the_builds_reason(tmp_path):
    plan = builder.Plan(source=tmp_path, compiler="no-such-compiler")
    places = (tmp_path, plan.folder)
    assert kernels_on_offer("auto", places=places) == Obstacle(Cause.NO_LIBRARY, "no kernel library was found")
    (tmp_path / "library.cc").touch()
    builder.build_or_tell(plan)
    reason = "no kernel library: no C++ compiler 'no-such-compiler' when it was built"
    assert kernels_on_offer("auto", places=places) == Obstacle(Cause.NO_LIBRARY, reason)
    with pytest.raises(Misconfigured, match=re.escape(f"kernels are required: {reason}")):
        kernels_on_offer("require", places=places)


def test_versions_that_are_loaded_side_by_side_do_not_change_each_others_verdicts(version_folder, build_kernels):
    """Eight at once, on whatever cores there are: processor time decides, in a process for each version."""
    libraries = [build_kernels("RIGHT"), build_kernels("SLOW")] * 4
    with ThreadPoolExecutor(len(libraries)) as pool:
        versions = list(pool.map(partial(load, version_folder), libraries))
    found = [(version.kernels, version.kernels_cause) for version in versions]
    assert found == [("fused", ""), ("body", "slower")] * 4
