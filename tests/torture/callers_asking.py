"""Callers that ask for much with little: all metrics at once, a shape that nobody could multiply, and thousands of
requests in one go.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit
from urllib.request import urlopen

from tests.servers import RunningServer
from tests.torture.models import STEADY
from tests.torture.watch import peak_memory

_SCRAPERS = 24
_SCRAPE_S = 2.0
_MOST_CORES = 0.5
"""Writing takes a tenth of one at most, sending comes on top."""
_AXES = 45_000
_WAIT_S = 60.0
_MOST_S = 5.0
"""Multiplying them took 15 s in which nobody else was served."""
_SMALLEST = b"GET /none HTTP/1.1\r\nHost:\r\n\r\n"
_WRONG = b"NONE\r\n\r\n"
_IN_ONE_GO = 5_000
_CONNECTIONS = 8
_OVER_MB = 48.0
"""Taken in at once, they took 20 MB for each connection."""


def scrapers(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """Each asks again as soon as it is answered."""
    over = threading.Event()

    def scrape() -> int:
        count = 0
        while not over.is_set():
            with urlopen(server.metrics, timeout=_WAIT_S) as answer:
                count += bool(answer.read())
        return count

    usual = _cores(server, over)
    before_s = server.cpu_s
    with ThreadPoolExecutor(_SCRAPERS) as pool:
        counts = [pool.submit(scrape) for _ in range(_SCRAPERS)]
        over.wait(_SCRAPE_S)
        over.set()
        scrapes = sum(count.result() for count in counts)
    cores = (server.cpu_s - before_s) / _SCRAPE_S - usual
    complaints = [f"{_SCRAPERS} scrapers took {cores:.2f} cores"] if cores > _MOST_CORES else []
    return {"scrapes": scrapes, "cores that scrapers took": cores}, complaints


def _cores(server: RunningServer, over: threading.Event) -> float:
    """What the server takes of them for its other callers."""
    before_s = server.cpu_s
    over.wait(_SCRAPE_S)
    return (server.cpu_s - before_s) / _SCRAPE_S


def huge_shape(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """Many axes of 62 bits each."""
    shape = ",".join([str(2**62)] * _AXES)
    body = f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{shape}],"data":[[1]]}}]}}'
    connection, begun_s = HTTPConnection(urlsplit(server.http).netloc, timeout=_WAIT_S), time.monotonic()
    try:
        connection.request("POST", f"/v2/models/{STEADY}/infer", body)
        status = connection.getresponse().status
    finally:
        connection.close()
    took_s = time.monotonic() - begun_s
    complaints = [] if status == 400 and took_s < _MOST_S else [f"a huge shape got {status} after {took_s:.1f} s"]
    return {"refusal of a huge shape, s": took_s}, complaints


def requests_in_one_go(server: RunningServer) -> tuple[Mapping[str, float | str], list[str]]:
    """Many small requests on each connection before any answer is read, and the end of each is a wrong one."""
    where = urlsplit(server.http)

    def ask(_: int) -> tuple[int, int]:
        with socket.create_connection((where.hostname or "", where.port or 0), timeout=_WAIT_S) as caller:
            threading.Thread(target=caller.sendall, args=(_SMALLEST * _IN_ONE_GO + _WRONG,)).start()
            answers = b"".join(iter(lambda: caller.recv(65536), b""))
        return answers.count(b" 404 Not"), answers.count(b" 400 Bad")

    with peak_memory(server) as peak, ThreadPoolExecutor(_CONNECTIONS) as pool:
        counts = set(pool.map(ask, range(_CONNECTIONS)))
    complaints = [] if counts == {(_IN_ONE_GO, 1)} else [f"answers: {counts}"]
    if peak.grown_mb > _OVER_MB:
        complaints.append(f"memory grew by {peak.grown_mb:.0f} MB")
    sent = _CONNECTIONS * _IN_ONE_GO
    return {"requests in one go": sent, "memory for requests in one go, MB": peak.grown_mb}, complaints
