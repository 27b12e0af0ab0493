"""Triton's own metrics at /metrics: the same figures as the statistics, under Triton's names."""

from __future__ import annotations

from collections.abc import Iterator
from os import sysconf
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import grpc
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fovea.serving.engines.outcomes import EVERY_OUTCOME
from fovea.serving.observability.triton_cpu_metrics import TRITON_CPU_METRICS, TritonCpuMetrics
from fovea.serving.observability.triton_metrics import FAILURE_REASONS, TRITON_METRICS
from raw_client import RawClient
from servers import RunningServer, infer_request, requests_by_outcome, running_server, samples, wait_until


@pytest.fixture(scope="module")
def shown(repository: Path) -> Iterator[RunningServer]:
    with running_server(repository, "--triton-metrics", "--max-batch-rows=8") as server:
        yield server


def nv(server: RunningServer, **labels: str) -> dict[str, float]:
    """The metrics of these labels, by name."""
    found = server.samples().items()
    return {name: value for (name, own), value in found if name[:3] == "nv_" and own >= set(labels.items())}


def test_every_way_to_fail_that_is_not_the_callers_mistake_has_a_word_of_tritons() -> None:
    assert set(FAILURE_REASONS) == set(EVERY_OUTCOME) - {"ok", "invalid"}


def test_the_metrics_are_the_statistics_under_tritons_names(shown: RunningServer) -> None:
    with grpc.insecure_channel(shown.grpc) as channel:
        client = RawClient(channel)
        for rows in (1, 8, 3):
            client.send("ModelInfer", infer_request("double", np.ones((rows, 4), np.float32)))
        wrong = infer_request("double", np.ones((9, 4), np.float32))
        assert client.start("ModelInfer", wrong).code() == grpc.StatusCode.INVALID_ARGUMENT
        wait_until(lambda: requests_by_outcome(shown) == {"ok": 3, "invalid": 1})
        (told,) = client("ModelStatistics", name="double").model_stats
    found, stats = nv(shown, model="double", version="1"), told.inference_stats
    assert found["nv_inference_request_success"] == stats.success.count == 3
    assert found["nv_inference_count"] == told.inference_count == 12
    assert found["nv_inference_exec_count"] == told.execution_count == 3
    assert found["nv_inference_pending_request_count"] == 0
    durations = {
        "request": stats.success,
        "queue": stats.queue,
        "compute_input": stats.compute_input,
        "compute_infer": stats.compute_infer,
        "compute_output": stats.compute_output,
    }
    for name, total in durations.items():
        assert found[f"nv_inference_{name}_duration_us"] == total.ns / 1e3 > 0
    assert stats.fail.count == 0  # a request that does not fit the model is none of its inferences
    for reason in ("REJECTED", "CANCELED", "BACKEND", "OTHER"):
        assert nv(shown, model="double", reason=reason) == {"nv_inference_request_failure": 0}


def test_each_model_that_is_served_has_every_metric(shown: RunningServer) -> None:
    names = {*TRITON_METRICS, "nv_inference_request_failure", "nv_inference_pending_request_count"}
    assert set(nv(shown, model="pair", version="1")) == names
    assert not nv(shown, model="damaged")


def test_processor_and_memory_of_the_machine_are_shown(shown: RunningServer) -> None:
    first, second = nv(shown), nv(shown)
    assert {*TRITON_CPU_METRICS} <= first.keys()
    assert 0 <= second["nv_cpu_utilization"] <= 1
    assert second["nv_cpu_memory_total_bytes"] == sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES")
    assert 0 < second["nv_cpu_memory_used_bytes"] < second["nv_cpu_memory_total_bytes"]


def test_utilization_is_the_busy_share_of_the_time_since_the_scrape_before(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4 kB\nMemAvailable:  3 kB\n")
    (tmp_path / "stat").write_text("cpu  10 0 10 80 0 0 0 0 5 0\ncpu0 1 1 1 1\n")
    registry = CollectorRegistry()
    TritonCpuMetrics(registry, tmp_path)
    (tmp_path / "stat").write_text("cpu  20 0 20 120 40 0 0 0 9 0\n")
    found = {name: value for (name, _), value in samples(generate_latest(registry).decode()).items()}
    assert found == {
        "nv_cpu_utilization": 0.2,
        "nv_cpu_memory_total_bytes": 4096,
        "nv_cpu_memory_used_bytes": 1024,
    }


def test_who_accepts_openmetrics_gets_the_same_metrics_in_that_format(shown: RunningServer) -> None:
    request = Request(shown.metrics, headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    with urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        families = text_string_to_metric_families(answer.read().decode())  # strict: no family twice, and an end
    found = {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}
    assert found == shown.samples().keys()


def test_without_the_setting_there_are_none(server: Any) -> None:
    assert not nv(server)
