"""Keeps so many calls in flight, each with the next of several bodies: what h2load, which has one body, cannot do.

Prints requests a second and the median latency as JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np

CONNECTIONS = 4
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Flight:
    """Calls that start one another until `requests` are done."""

    def __init__(self, calls: list[Any], bodies: list[bytes], requests: int) -> None:
        self._next: Iterator[tuple[Any, bytes]] = zip(itertools.cycle(calls), itertools.cycle(bodies))
        self._left = requests
        self._unanswered = requests
        self._lock = threading.Lock()
        self._done = threading.Event()
        self.latencies_s: list[float] = []
        self.errors: list[str] = []

    def run(self, in_flight: int) -> float:
        """Seconds that all of them took."""
        begun_s = time.perf_counter()
        for _ in range(in_flight):
            self._start()
        self._done.wait()
        return time.perf_counter() - begun_s

    def _start(self) -> None:
        with self._lock:
            if not self._left:
                return
            self._left -= 1
            call, body = next(self._next)
        begun_s = time.perf_counter()
        call.future(body).add_done_callback(lambda answer: self._end(answer, begun_s))

    def _end(self, answer: Any, begun_s: float) -> None:
        if answer.code() is not grpc.StatusCode.OK:
            self.errors.append(f"{answer.code()}: {answer.details()}")
        with self._lock:
            self.latencies_s.append(time.perf_counter() - begun_s)
            self._unanswered -= 1
            if not self._unanswered:
                self._done.set()
        self._start()


def main(address: str, path: str, bodies: str, requests: str, in_flight: str) -> int:
    """Status 1, and the first error, where a call fails."""
    own_pools = [("grpc.use_local_subchannel_pool", 1), *_UNLIMITED]
    channels = [grpc.insecure_channel(address, options=own_pools) for _ in range(CONNECTIONS)]
    with np.load(Path(bodies)) as file:
        flight = Flight(
            [one.unary_unary(path) for one in channels], [file[name].tobytes() for name in file], int(requests)
        )
    taken_s = flight.run(int(in_flight))
    for channel in channels:
        channel.close()
    if flight.errors:
        print(flight.errors[0], file=sys.stderr)
        return 1
    latencies_us = np.percentile(flight.latencies_s, (50, 99)) * 1e6
    print(json.dumps([int(requests) / taken_s, *latencies_us]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
