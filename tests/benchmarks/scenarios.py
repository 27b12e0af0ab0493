"""What is measured: each function is one sentence about speed. Rounds of both sides alternate, medians are compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.benchmarks import mixed, models
from tests.benchmarks.costs import costs
from tests.benchmarks.fairness import flood_on_neighbours
from tests.benchmarks.load import IN_FLIGHT, Sample, Traffic, request_body, send
from tests.benchmarks.processes import Server, echo_server, fovea_server, plain_loop
from tests.benchmarks.report import Finding
from tests.benchmarks.rounds import Effort, Rounds, in_turn, rates_in_turn, sized

BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Bench:
    """Where things are: the exported models, a folder of the benchmark's own models, how long to measure."""

    exported: Path
    own: Path
    effort: Effort

    def rows_against_loop(
        self, model: str, repository: Path, target: float | None, *, kernels: str = "auto"
    ) -> Finding:
        """Rows a second of one-row requests, 32 in flight, against a plain loop at its best batch size.

        The loop is a stock ONNX Runtime's, from the function bodies; with `kernels` "off" the server runs those too.
        """
        onnx = repository / model / "1" / "model.onnx"
        with fovea_server(repository, flags=[f"--kernels={kernels}"]) as server:
            traffic = sized(server, Traffic(models.picture_request(model), 0, IN_FLIGHT), self.effort.seconds)
            best = _best_batch(onnx, self.effort.seconds / 3)
            sides = {
                "served": lambda: server.send(traffic).requests_per_s,
                "loop": lambda: _loop(onnx, best, self.effort.seconds),
            }
            rates = in_turn(sides, self.effort.rounds)
        served, loop = rates.median("served"), rates.median("loop")
        details = {"served rows/s": served, "loop rows/s": loop, "loop batch": best, "loop ms/row": 1000 / loop}
        name = f"rows/s, {model}, 32 in flight{', without kernels' if kernels == 'off' else ''} / plain loop"
        return Finding(name, served / loop, "at least", target, "x", details)

    def requests_against_echo(self) -> Iterator[Finding]:
        """One-row requests a second, and the median latency of one at a time, against a bare grpc.aio echo."""
        with fovea_server(self.own) as server, echo_server() as echo_port:
            rates = self._beside_echo(server, echo_port, IN_FLIGHT, lambda sample: sample.requests_per_s)
            waits_us = self._beside_echo(server, echo_port, 1, lambda sample: sample.p50_us)
        details = {f"{side} requests/s": rates.median(side) for side in ("served", "echo")}
        ratio = rates.ratio("served", "echo")
        yield Finding("requests/s, identity / grpc.aio echo", ratio, "at least", 2.5, "x", details)
        details = {f"{side} µs": waits_us.median(side) for side in ("served", "echo")}
        ratio = waits_us.ratio("served", "echo")
        yield Finding("p50 at concurrency 1 / grpc.aio echo", ratio, "at most", 1.0, "x", details)

    def _beside_echo(self, server: Server, echo_port: int, in_flight: int, figure: Callable[[Sample], float]) -> Rounds:
        traffic = sized(server, Traffic(_identity(), 0, in_flight), self.effort.seconds)
        sides = {"served": lambda: figure(server.send(traffic)), "echo": lambda: figure(send(echo_port, traffic))}
        return in_turn(sides, self.effort.rounds)

    def maps_not_asked_for(self) -> Finding:
        """Rows a second of a model that could give maps, against the same graph exported without them."""
        names = ("with-maps", "without-maps")
        with fovea_server(self.own) as server:
            sides = {name: Traffic(models.picture_request(name), 0, IN_FLIGHT) for name in names}
            rates = rates_in_turn(server, sides, self.effort)
        details = {f"{name.replace('-', ' ')}, rows/s": rates.median(name) for name in names}
        return Finding("maps not asked for / exported without", rates.ratio(*names), "at least", 0.98, "x", details)

    def start_to_ready(self) -> Finding:
        """Seconds from the start of the process to its ready line, all exported models, all cores."""
        times = []
        for _ in range(self.effort.starts):
            with fovea_server(self.exported, pinned=False) as server:
                times.append(server.start_s)
        return Finding("start to ready, all models", statistics.median(times), "at most", 5.0, "s")

    def memory_growth(self) -> Finding:
        """Resident memory after many requests against that after a tenth of them."""
        few, many = self.effort.memory_requests
        with fovea_server(self.own) as server:
            server.send(Traffic(_identity(), few, IN_FLIGHT))
            early = server.resident_mb()
            server.send(Traffic(_identity(), many - few, IN_FLIGHT))
            late = server.resident_mb()
        details = {f"MB after {few:,}": early, f"MB after {many:,}": late}
        return Finding(f"resident memory, {many:,} / {few:,} requests", late / early, "at most", 1.1, "x", details)


def _best_batch(onnx: Path, seconds: float) -> int:
    rates = plain_loop(onnx, "input", models.PICTURE_SHAPE, BATCH_SIZES, seconds)
    return max(rates, key=lambda rows: rates[rows])


def _loop(onnx: Path, rows: int, seconds: float) -> float:
    return plain_loop(onnx, "input", models.PICTURE_SHAPE, [rows], seconds)[rows]


def _identity() -> bytes:
    return request_body("identity", {"x": np.arange(models.IDENTITY_FLOATS, dtype=np.float32)[None]})


def every_finding(bench: Bench, wide: Path, scratch: Path) -> Iterator[Callable[[], Iterable[Finding]]]:
    """The scenarios in the order of the report."""
    yield lambda: [bench.rows_against_loop("fashion-cbam", bench.exported, 0.75)]
    yield lambda: [bench.rows_against_loop("fashion-cbam", bench.exported, None, kernels="off")]
    yield lambda: [bench.rows_against_loop("wide-cbam", wide, 0.92)]
    yield lambda: bench.requests_against_echo()
    yield lambda: costs(bench.own, None, bench.effort)
    yield lambda: [bench.maps_not_asked_for()]
    yield lambda: mixed.mixed_lengths(scratch / "encoders", bench.effort)
    yield lambda: [mixed.large_rows(scratch / "large", bench.effort)]
    yield lambda: [
        flood_on_neighbours(bench.exported / "fashion-cbam", wide / "wide-cbam", scratch / "fairness", bench.effort)
    ]
    yield lambda: [bench.start_to_ready()]
    yield lambda: [bench.memory_growth()]
