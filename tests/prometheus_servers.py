"""A real Prometheus and its promtool: those on this machine, else Debian's, unpacked into the cache."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.packages import debian_package

TARGETS = "targets.json"
"""In the folder of a running Prometheus: what it scrapes, read again when it changes."""
RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules"
_LONG_S = 60.0
_CONFIGURATION = """
global: {{scrape_interval: {scrape_s}, scrape_timeout: {scrape_s}, evaluation_interval: {evaluation_s}}}
rule_files: [{rules}]
scrape_configs:
  - job_name: fovea
    scheme: {scheme}
    tls_config: {{insecure_skip_verify: true}}
    file_sd_configs: [{{files: [{targets}], refresh_interval: 1s}}]
"""


@cache
def program(name: str) -> str:
    """The path of prometheus or promtool. Misconfigured where there is none and none can be fetched."""
    found = shutil.which(name)
    return found or str(debian_package("prometheus") / "usr" / "bin" / name)


def program_or_skip(name: str) -> str:
    """The same in a test, which is skipped where there is none."""
    try:
        return program(name)
    except Misconfigured as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class RunningPrometheus:
    """One that scrapes a server, and what it answers."""

    address: str
    evaluation_s: float

    def ask(self, path: str, **asked: str) -> Any:
        """The data of one of its HTTP API's answers."""
        with urlopen(f"http://{self.address}/api/v1/{path}?{urlencode(asked)}", timeout=_LONG_S) as answer:
            return json.load(answer)["data"]

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The series that a query gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=promql)["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self.ask("alerts")["alerts"] if one["state"] == "firing"}


@contextmanager
def running_prometheus(
    folder: Path, metrics: str, rules: Path | None = None, scrape_s: float = 1.0, evaluation_s: float = 1.0
) -> Iterator[RunningPrometheus]:
    """A Prometheus with data and configuration in a folder, which scrapes the page at an address."""
    page = urlsplit(metrics)
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        _CONFIGURATION.format(
            scrape_s=f"{scrape_s * 1000:.0f}ms",  # no fractions are allowed
            evaluation_s=f"{evaluation_s * 1000:.0f}ms",
            rules="" if rules is None else f"{rules}/*.yml",
            scheme=page.scheme,
            targets=folder / TARGETS,
        )
    )
    (folder / TARGETS).write_text(json.dumps([{"targets": [page.netloc]}]))
    address = f"127.0.0.1:{_free_port()}"
    files = (f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}")
    log = (folder / "prometheus.log").open("w")
    process = subprocess.Popen([program("prometheus"), *files, f"--web.listen-address={address}"], stderr=log)
    try:
        started = RunningPrometheus(address, evaluation_s)
        until(lambda: process.poll() is not None or _answers(started))
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield started
    finally:
        process.terminate()
        process.wait(_LONG_S)
        log.close()


def until(is_so: Callable[[], Any], within_s: float = _LONG_S) -> None:
    """Ask again until it is so; what is asked of a Prometheus has to be scraped first."""
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def _answers(prometheus: RunningPrometheus) -> bool:
    try:
        return bool(prometheus.query("vector(1)"))
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
