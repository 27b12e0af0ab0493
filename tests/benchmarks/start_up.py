"""`make bench-start`: how long until thirty models are ready, each verified, looked at and raced anew.

They are copies of the exported ones under other names. From the start of the process to its ready line, by the clock;
and the processor time of the server with all that it starts, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.machine import describe, in_one_line
from tests.benchmarks.processes import FOVEA

TARGET_S = 5.0


def copies(exported: Path, repository: Path, count: int) -> None:
    """So many models: the exported ones in turn, each under a name of its own."""
    models = sorted(path for path in exported.iterdir() if path.is_dir())
    for number in range(count):
        model = models[number % len(models)]
        shutil.copytree(model, repository / f"{model.name}-{number:02}")


def start(repository: Path, count: int, flags: list[str]) -> tuple[float, float]:
    """Seconds until all are ready, and of processor time, the end of the server included."""
    before = _children_s()
    begun_s = time.monotonic()
    ports = ("--grpc-port=0", "--http-port=0", "--metrics-port=0")
    process = subprocess.Popen(
        [FOVEA, "serve", f"--repository={repository}", *ports, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready_s = time.monotonic() - begun_s
        _require_all(line, count)
    finally:
        process.terminate()
        process.wait(60)
    return ready_s, _children_s() - before


def _require_all(line: str, count: int) -> None:
    """SystemExit where not every model is ready, or none was raced."""
    if " ready: " not in line:
        raise SystemExit(f"not ready: {line}")
    port = line.split("metrics ")[1].split(",")[0]
    with urlopen(f"http://{port}/metrics") as answer:
        text = answer.read().decode()
    ready = sum(one.startswith("fovea_model_ready{") and one.endswith(" 1.0") for one in text.splitlines())
    if ready != count:
        raise SystemExit(f"{ready} of {count} models are ready")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Measure and print; status 1 where it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exported", type=Path, default=Path("exported_models"))
    parser.add_argument("--models", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("flags", nargs="*", help="for `fovea serve`, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copies(arguments.exported, Path(folder), arguments.models)
        runs = [start(Path(folder), arguments.models, arguments.flags) for _ in range(arguments.rounds)]
    ready_s, processor_s = (statistics.median(seconds) for seconds in zip(*runs, strict=True))
    print(f"{arguments.models} models ready: {ready_s:.2f} s; the target is {TARGET_S:.0f} s")
    print(f"  runs: {', '.join(f'{run[0]:.2f}' for run in runs)} s")
    print(f"  processor time: {processor_s:.2f} s, {1e3 * processor_s / arguments.models:.0f} ms a model")
    print(in_one_line(describe()))
    return 0 if ready_s <= TARGET_S else 1


if __name__ == "__main__":
    sys.exit(main())
