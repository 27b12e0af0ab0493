"""The plain loop: `InferenceSession.run`, one process, one core, one thread. Prints rows a second per batch size."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import onnxruntime


def rows_per_s(session: Any, feed: dict[str, Any], rows: int, seconds: float) -> float:
    """Run for so long, after a tenth of it as warm-up."""
    _runs(session, feed, seconds / 10)
    begun = time.perf_counter()
    return _runs(session, feed, seconds) * rows / (time.perf_counter() - begun)


def _runs(session: Any, feed: dict[str, Any], seconds: float) -> int:
    until = time.perf_counter() + seconds
    runs = 0
    while time.perf_counter() < until:
        session.run(None, feed)
        runs += 1
    return runs


def main(model: str, input_name: str, shape: str, batches: str, seconds: str) -> None:
    """One session, every batch size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rates = {}
    for rows in json.loads(batches):
        data = np.random.default_rng(0).standard_normal((rows, *json.loads(shape)), np.float32)
        rates[rows] = rows_per_s(session, {input_name: data}, rows, float(seconds))
    print(json.dumps(rates))


if __name__ == "__main__":
    main(*sys.argv[1:])
