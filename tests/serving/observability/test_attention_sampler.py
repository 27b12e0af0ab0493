"""Attention time by a profile: sampled on a CPU; on a GPU, where a profile has launch times, not shown."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import simam_version
from fovea.contract.attention import AttentionType
from fovea.runtime.attention_share import attention_share
from fovea.runtime.device import Device
from fovea.runtime.kernel_choice import Choice
from fovea.runtime.load_settings import LoadSettings
from fovea.runtime.loaded_version import LoadedVersion
from fovea.runtime.loading import load_version
from fovea.serving.observability.attention_sampler import AttentionSampler
from fovea.serving.observability.recorder import ModelLabels, Recorder
from fovea.serving.observability.telemetry import Telemetry
from servers import samples, total

GPU = Device("cuda", 0)


@dataclass(frozen=True, eq=False)
class Served:
    loaded: LoadedVersion
    recorder: Recorder


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedVersion:
    return load_version(simam_version.write_version(tmp_path / "simam" / "1"), "simam", 1, LoadSettings())


def as_on_a_gpu(version: LoadedVersion) -> LoadedVersion:
    """The same version, as if its session ran there; the session itself goes on running on the CPU."""
    settings = replace(version.settings, device=GPU)
    return LoadedVersion(version.path, version.card, version.version, Choice(version.session, "body"), settings)


def sampled(version: LoadedVersion) -> float:
    """How often attention time was recorded after a batch of this version."""
    telemetry, sampler = Telemetry(), AttentionSampler(3600.0)
    labels = ModelLabels("simam", "1", AttentionType.SIMAM, "body", "", "", "", {"SimAM": AttentionType.SIMAM})
    served = Served(version, telemetry.recorder(labels, lambda: 0))
    sampler.offer(served, [{"image": simam_version.images(2)}])
    assert sampler.close(60.0)
    return total(samples(telemetry.text().decode()), "fovea_attention_op_seconds_count")


def test_a_body_is_timed_on_the_cpu_and_not_on_a_gpu_where_a_profile_has_launch_times(loaded: LoadedVersion) -> None:
    assert (sampled(loaded), sampled(as_on_a_gpu(loaded))) == (1, 0)


def test_the_log_tells_why_there_is_no_attention_time(loaded: LoadedVersion, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        as_on_a_gpu(loaded)
    told = "simam version 1: the time of SimAM is not measured on cuda:0: a profile has launch times only"
    assert caplog.messages == [told]


def test_the_share_of_attention_is_told_on_the_cpu_and_not_on_a_gpu(loaded: LoadedVersion) -> None:
    share = attention_share(loaded, time.perf_counter)
    assert share is not None
    assert 0 < share <= 1
    assert attention_share(as_on_a_gpu(loaded), time.perf_counter) is None
