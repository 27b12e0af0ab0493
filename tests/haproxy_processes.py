"""A real HAProxy: the one on this machine, else Debian's with the libraries that it lacks, unpacked into the cache."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.request import urlopen

import pytest

from fovea.contract.errors import Misconfigured
from fovea.recipes.packages import debian_package
from servers import Samples, samples, total, wait_until

_LONG_S = 60.0
_MOST_LIBRARIES = 8


@cache
def haproxy() -> tuple[str, Mapping[str, str]]:
    """Its path, and variables that it needs. Misconfigured where there is none and none can be fetched."""
    if found := shutil.which("haproxy"):
        return found, {}
    program = debian_package("haproxy") / "usr" / "sbin" / "haproxy"
    folders: list[str] = []
    for _ in range(_MOST_LIBRARIES):
        variables = {"LD_LIBRARY_PATH": ":".join(folders)}
        told = subprocess.run(["ldd", program], env=os.environ | variables, capture_output=True, text=True).stdout
        missing = re.search(r"(\S+)\.so\.(\S+) => not found", told)
        if missing is None:
            return str(program), variables
        folders.extend(_folders(debian_package(_library_package(*missing.groups()))))
    raise Misconfigured(f"haproxy lacks more libraries than {_MOST_LIBRARIES}")


def _library_package(name: str, version: str) -> str:
    """As Debian's policy has it: libc.so.6 is in libc6, liblua5.3.so.0 in liblua5.3-0."""
    return f"{name}-{version}" if name[-1].isdigit() else f"{name}{version}"


def _folders(package: Path) -> list[str]:
    return sorted({str(path.parent) for path in package.rglob("*.so.*")})


def haproxy_or_skip() -> tuple[str, Mapping[str, str]]:
    """The same in a test, which is skipped where there is none."""
    try:
        return haproxy()
    except Misconfigured as error:
        pytest.skip(str(error))


def haproxy_on_path(folder: Path) -> str:
    """A PATH by which it is found, with its variables, for programs that look for it."""
    program, variables = haproxy_or_skip()
    script = folder / "haproxy"
    exports = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
    script.write_text(f'#!/bin/sh\n{exports}exec "{program}" "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"{folder}:{os.environ['PATH']}"


@dataclass(frozen=True)
class RunningHaproxy:
    """One that runs, and what its metrics tell."""

    process: subprocess.Popen[bytes]
    metrics: str

    def samples(self) -> Samples:
        """What /metrics says now; nothing while nobody answers."""
        try:
            with urlopen(self.metrics, timeout=_LONG_S) as answer:
                return samples(answer.read().decode())
        except OSError:
            return {}

    def state(self, server: str) -> str:
        """Of a server as gRPC's backend sees it: UP, DOWN, DRAIN and so on; empty while nobody answers."""
        labels = {("proxy", "grpc"), ("server", server)}
        return "".join(
            dict(has)["state"]
            for (name, has), value in self.samples().items()
            if name == "haproxy_server_status" and labels <= has and value
        )

    def told(self, name: str, server: str) -> float:
        """A number of a server, as gRPC's backend sees it."""
        return total(self.samples(), f"haproxy_server_{name}", proxy="grpc", server=server)


@contextmanager
def running_haproxy(configuration: Path, metrics_port: int) -> Iterator[RunningHaproxy]:
    """One with this file, which answers; ended afterwards."""
    program, variables = haproxy_or_skip()
    words = [program, "-db", "-f", str(configuration)]
    process = subprocess.Popen(words, env=os.environ | variables, stdout=subprocess.DEVNULL)
    try:
        started = RunningHaproxy(process, f"http://127.0.0.1:{metrics_port}/metrics")
        wait_until(lambda: process.poll() is not None or bool(started.samples()))
        assert process.poll() is None
        yield started
    finally:
        process.kill()
        process.wait(_LONG_S)


def free_ports(number: int) -> list[int]:
    """So many, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(one.getsockname()[1]) for one in probes]
    for one in probes:
        one.close()
    return ports
