"""`make bench-cluster`: two servers behind HAProxy, as `fovea cluster` sets it up, beside one that is asked directly.

Servers and HAProxy share a core, the client has the other. Compared is processor time, of the processes themselves.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.benchmarks import models
from tests.benchmarks.load import IN_FLIGHT, BenchmarkImpossible, Traffic, require_h2load, send
from tests.benchmarks.machine import describe
from tests.benchmarks.processes import SERVER_CORE, Server, fovea_server
from tests.benchmarks.report import Finding, show
from tests.benchmarks.rounds import FULL, SHORT, Effort, figures_in_turn, in_turn, sized

from fovea.cli.haproxy_config import Listening, Replica, haproxy_config, servers
from haproxy_processes import RunningHaproxy, free_ports, running_haproxy
from servers import wait_until

MODEL = "fashion-cbam"
LEAST_SHARE, MOST_PROXY_US, MOST_MORE_US = 0.95, 20.0, 100.0
DIRECT, BEHIND = "direct", "behind"


@dataclass(frozen=True)
class Cluster:
    """HAProxy and its servers."""

    servers: Sequence[Server]
    proxy: RunningHaproxy
    port: int

    def direct_s(self, traffic: Traffic) -> float:
        """Processor seconds of the one server that gets it all."""
        before_s = self.servers[0].processor_s()
        self.servers[0].send(traffic)
        return self.servers[0].processor_s() - before_s

    def behind_s(self, traffic: Traffic) -> float:
        """Processor seconds of all servers together, but not of HAProxy."""
        before_s = sum(one.processor_s() for one in self.servers)
        send(self.port, traffic)
        return sum(one.processor_s() for one in self.servers) - before_s

    def proxy_us(self, traffic: Traffic) -> float:
        """HAProxy's microseconds a request, its checks of the servers included."""
        before_s = _processor_s(self.proxy)
        send(self.port, traffic)
        return (_processor_s(self.proxy) - before_s) / traffic.requests * 1e6


def findings(cluster: Cluster, effort: Effort) -> Iterator[Finding]:
    """Rows a processor-second, what HAProxy takes, and how much later an answer comes."""
    first = cluster.servers[0]
    traffic = sized(first, Traffic(models.picture_request(MODEL), 0), effort.seconds)
    both = replace(traffic, in_flight=IN_FLIGHT * len(cluster.servers))  # each server has as much to do as the one
    sides = {BEHIND: partial(cluster.behind_s, both), DIRECT: partial(cluster.direct_s, traffic)}
    found = in_turn(sides, effort.rounds)
    what = f"rows a processor-second, two behind HAProxy / one directly, {IN_FLIGHT} in flight each"
    ratio, noise = found.ratio(DIRECT, BEHIND), found.noise(DIRECT, BEHIND)
    yield Finding(what, ratio, "at least", LEAST_SHARE, noise=noise)
    took = sorted(figures_in_turn({BEHIND: partial(cluster.proxy_us, both)}, effort.rounds)[BEHIND])
    what = f"HAProxy's processor time a request, {both.in_flight} in flight"
    yield Finding(what, took[len(took) // 2], "at most", MOST_PROXY_US, "µs", {"least": took[0], "most": took[-1]})
    yield _latency(cluster, replace(traffic, in_flight=1, requests=traffic.requests // 4), effort)


def _latency(cluster: Cluster, traffic: Traffic, effort: Effort) -> Finding:
    ports = {BEHIND: cluster.port, DIRECT: cluster.servers[0].grpc_port}
    found = in_turn({side: partial(_p50_us, port, traffic) for side, port in ports.items()}, effort.rounds)
    p50_us = {side: found.median(side) for side in ports}
    more_us = p50_us[BEHIND] - p50_us[DIRECT]
    return Finding(
        "p50 behind HAProxy less p50 directly, one in flight", more_us, "at most", MOST_MORE_US, "µs", p50_us
    )


def _p50_us(port: int, traffic: Traffic) -> float:
    return send(port, traffic).p50_us


def _processor_s(proxy: RunningHaproxy) -> float:
    return time.clock_gettime(~proxy.process.pid << 3 | 2)  # as of a server


@contextmanager
def running_cluster(repository: Path, folder: Path) -> Iterator[Cluster]:
    """Two servers that are ready, and HAProxy, which knows that they are."""
    with ExitStack() as running:
        two = [running.enter_context(fovea_server(repository, flags=["--threads=1"])) for _ in range(2)]
        grpc, http, metrics = free_ports(3)
        replicas = [Replica("127.0.0.1", one.grpc_port, one.http_port, agent=0) for one in two]
        written = folder / "haproxy.cfg"
        written.write_text(haproxy_config(servers(replicas), Listening("127.0.0.1", grpc, http, metrics)))
        proxy = running.enter_context(running_haproxy(written, metrics))
        wait_until(lambda: proxy.state("fovea1") == proxy.state("fovea2") == "UP")
        yield Cluster(two, proxy, grpc)


def main() -> int:
    """Measure and print; status 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster", description=__doc__)
    parser.add_argument("--short", action="store_true", help="rough figures")
    effort, machine = SHORT if parser.parse_args().short else FULL, describe()
    try:
        require_h2load()
        os.sched_setaffinity(0, {SERVER_CORE})  # whoever is started inherits it, but for the client
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(Path("exported_models", MODEL), folder / "models" / MODEL)
            with running_cluster(folder / "models", folder) as cluster:
                found = list(findings(cluster, effort))
    except BenchmarkImpossible as error:
        print(f"bench-cluster: {error}", file=sys.stderr)
        return 2
    show(found, machine, effort is SHORT)
    return 0 if all(one.passed for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
