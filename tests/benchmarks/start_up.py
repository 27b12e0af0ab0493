"""`make bench-start`: how long until thirty models are ready, or a large one, each verified, looked at and raced anew.

The thirty are copies of seven image classifiers under other names, and once more of all exported models, for which
there is no target; the large one is a ResNet-50 with squeeze-and-excitation, whose export is timed too. From the start
of the process to its ready line, by the clock; and the processor time of it with all that it starts, which other work
on the machine hardly changes.
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
from collections.abc import Sequence
from math import inf
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.machine import describe, in_one_line
from tests.benchmarks.processes import FOVEA

TARGET_S = 5.0
EXPORT_TARGET_S = 60.0
SEVEN = tuple(f"fashion-{kind}" for kind in ("none", "se", "cbam", "spatial", "simam", "external", "vit"))
LARGE = "tests.benchmarks.kernels_resnet:with_squeeze_and_excitation"


def copies(models: Sequence[Path], repository: Path, count: int) -> None:
    """So many models: these in turn, each under a name of its own."""
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


def export_large(repository: Path) -> tuple[float, float]:
    """Seconds that the export of the large model takes, and of processor time."""
    before, begun_s = _children_s(), time.monotonic()
    words = [FOVEA, "export", LARGE, "--name=resnet", "--input=image=1x3x224x224", f"--repository={repository}"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun_s, _children_s() - before


def report(what: str, runs: Sequence[tuple[float, float]], target_s: float = inf) -> bool:
    """Print what it took; whether that is within the target."""
    elapsed_s, processor_s = (statistics.median(seconds) for seconds in zip(*runs, strict=True))
    print(f"{what}: {elapsed_s:.2f} s" + (f"; the target is {target_s:.0f} s" if target_s < inf else ""))
    print(f"  runs: {', '.join(f'{run[0]:.2f}' for run in runs)} s; processor time: {processor_s:.2f} s")
    return elapsed_s <= target_s


def main() -> int:
    """Measure and print; status 1 where something takes too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exported", type=Path, default=Path("exported_models"))
    parser.add_argument("--models", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("flags", nargs="*", help="for `fovea serve`, after --")
    arguments = parser.parse_args()
    flags, rounds = arguments.flags, range(arguments.rounds)
    every = sorted(path for path in arguments.exported.iterdir() if path.is_dir())
    starts = []
    for models in ([arguments.exported / name for name in SEVEN], every):
        with tempfile.TemporaryDirectory() as small:
            copies(models, Path(small), arguments.models)
            starts.append([start(Path(small), arguments.models, flags) for _ in rounds])
    with tempfile.TemporaryDirectory() as large:
        exported = [export_large(Path(large))]
        large_ready = [start(Path(large), 1, flags) for _ in rounds]
    within = [
        report(f"{arguments.models} models ready", starts[0], TARGET_S),
        report(f"{arguments.models} of all kinds ready", starts[1]),
        report("a ResNet-50 exported", exported, EXPORT_TARGET_S),
        report("it is ready", large_ready, TARGET_S),
    ]
    print(in_one_line(describe()))
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
