"""docker-compose.yml from the outside: a profile is brought up and asked, containers are looked into."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np

from fovea.client import Client, Retry
from fovea.contract.errors import FoveaError

ROOT = Path(__file__).parents[1]
MODEL = "fashion-cbam"
PICTURE = np.zeros((1, 1, 28, 28), np.float32)


def run(*words: str, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; it has to succeed."""
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def eventually(answer: Callable[[], Any], within_s: float = 120.0) -> Any:
    """The first true answer; the last one when time is up. A scrape takes its interval, so this has to wait."""
    until = time.monotonic() + within_s
    while not (found := answer()) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def prometheus(query: str) -> list[dict[str, Any]]:
    """What it answers; nothing while it starts, as it may be when the server is healthy."""
    try:
        with urlopen(f"http://127.0.0.1:9090/api/v1/query?{urlencode({'query': query})}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        return []


@dataclass(frozen=True)
class Stack:
    """A profile that is up, and the variables that it was brought up with."""

    variables: Mapping[str, str]

    def compose(self, *words: str) -> str:
        """Run `docker compose` as it was run for this stack."""
        return run("docker", "compose", "--project-name", "fovea-test", *words, environment=self.variables)

    def containers(self, service: str) -> list[str]:
        """The identifiers of its running containers."""
        return self.compose("ps", "--quiet", service).split()

    def inside(self, service: str, script: str) -> str:
        """What a Python script prints in a container of the service."""
        return self.compose("exec", "-T", service, "python", "-c", script).strip()


def inspected(kind: str, name: str, template: str) -> str:
    """A field of a container or an image."""
    return run("docker", kind, "inspect", "--format", template, name).strip()


@contextmanager
def stack(*services: str, **variables: str) -> Iterator[Stack]:
    """Build and start services of the profile that COMPOSE_PROFILES names, until all are healthy; in the end all go."""
    started = Stack(variables)
    try:
        started.compose("up", "--detach", "--build", "--wait", *services)
        yield started
    finally:
        started.compose("down", "--volumes", "--timeout", "45")


@dataclass
class Load:
    """Callers that ask one after the other, until they are stopped."""

    retry: Retry
    answered: int = 0
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)

    def ask(self) -> None:
        """One caller."""
        with Client("127.0.0.1:8001", timeout_s=30, retry=self.retry) as client:
            while not self._stop.is_set():
                try:
                    self.versions.append(client.infer(MODEL, {"input": PICTURE}, ["logits"]).version)
                    self.answered += 1
                except FoveaError as error:
                    self.failures.append(repr(error))

    @contextmanager
    def of(self, callers: int) -> Iterator[Load]:
        """The callers run meanwhile."""
        threads = [Thread(target=self.ask) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
