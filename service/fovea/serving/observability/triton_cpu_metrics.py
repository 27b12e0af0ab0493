"""Triton's `nv_cpu_*` metrics, of the whole machine as there: what /proc says when scraped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

TRITON_CPU_METRICS = {
    "nv_cpu_utilization": "Share of the machine's processor time in use since the scrape before, 0 to 1.",
    "nv_cpu_memory_total_bytes": "The machine's memory.",
    "nv_cpu_memory_used_bytes": "The machine's memory that is not available to programs.",
}
_IDLE, _WAITING_FOR_DISKS = 3, 4


class TritonCpuMetrics(Collector):
    """Registers itself."""

    def __init__(self, registry: CollectorRegistry, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before = self._processor_time()
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """The metrics without their samples: the registry takes the names from them."""
        for name, text in TRITON_CPU_METRICS.items():
            yield Metric(name, text, "gauge")

    def collect(self) -> Iterator[Metric]:
        total, available = self._memory()
        for (name, text), value in zip(
            TRITON_CPU_METRICS.items(), (self._utilization(), total, total - available), strict=True
        ):
            yield GaugeMetricFamily(name, text, value=value)

    def _utilization(self) -> float:
        before, self._before = self._before, self._processor_time()
        busy, all_time = (now - then for now, then in zip(self._before, before, strict=True))
        return min(1.0, max(0.0, busy / all_time)) if all_time > 0 else 0.0  # time that waits for disks may go back

    def _processor_time(self) -> tuple[int, int]:
        """Ticks in use, and in all, since the machine's start."""
        first_line = (self._proc / "stat").read_text().split("\n", 1)[0]
        ticks = [int(text) for text in first_line.split()[1:9]]  # guests' time, which follows, is in them already
        return sum(ticks) - ticks[_IDLE] - ticks[_WAITING_FOR_DISKS], sum(ticks)

    def _memory(self) -> tuple[int, int]:
        """Bytes in all, and available."""
        kb = dict(re.findall(r"^(MemTotal|MemAvailable): +(\d+)", (self._proc / "meminfo").read_text(), re.MULTILINE))
        return int(kb["MemTotal"]) * 1024, int(kb["MemAvailable"]) * 1024
