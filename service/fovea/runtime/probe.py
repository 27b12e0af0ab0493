"""Opens a file that nobody vouches for and runs it once, in a process of its own.

That is `python -m fovea.runtime.probe FILE SECONDS BYTES`.

A file may crash ONNX Runtime, loop or eat memory. Here that ends a child, and the server gets a reason.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.contract.errors import ExecutionFailed, FoveaError, ModelBroken
from fovea.contract.model_card import TensorSpec
from fovea.runtime.device import CPU
from fovea.runtime.session import ModelSession, SessionSettings, open_session, specs
from fovea.runtime.warm_up import made_up_row


@dataclass(frozen=True)
class ProbeLimits:
    """What an unknown file may use while it is tried."""

    seconds: int = 20
    memory_bytes: int = 6 << 30


def probe_file(model: Path, limits: ProbeLimits) -> bool:
    """Try a file in a child process; whether it batches. ModelBroken tells why it cannot be served."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "fovea.runtime.probe",
        str(model),
        str(limits.seconds),
        str(limits.memory_bytes),
    ]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limits.seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelBroken(f"{model.name}: not loaded and run once within {limits.seconds} s") from error
    return _verdict(model, child.returncode, child.stdout)


def _verdict(model: Path, status: int, output: bytes) -> bool:
    try:
        verdict = json.loads(output.splitlines()[-1])
        problem = verdict["problem"]
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise ModelBroken(f"{model.name}: the process that tried it ended with status {status}") from error
    if problem is not None:
        raise ModelBroken(problem)
    return bool(verdict["batched"])


def main(arguments: list[str]) -> None:
    """The child: limit this process, try the file, print the verdict as JSON."""
    path, seconds, memory_bytes = arguments
    _limit(int(seconds), int(memory_bytes))
    try:
        verdict: dict[str, Any] = {"problem": None, "batched": _try(Path(path))}
    except MemoryError:
        verdict = {"problem": f"{Path(path).name}: it needs more memory than a file without a card may use"}
    except FoveaError as error:
        verdict = {"problem": str(error)}
    print(json.dumps(verdict))


def _limit(seconds: int, memory_bytes: int) -> None:
    for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (most, most))


def _try(model: Path) -> bool:
    session = open_session(model, SessionSettings())
    inputs, outputs = specs(session)
    alone = ModelSession(session, inputs, outputs, False, 1, CPU)
    if all(spec.shape[:1] == (-1,) for spec in (*inputs, *outputs)) and _keeps_rows_apart(alone):
        return True
    try:
        alone.infer(made_up_row(inputs))
    except ExecutionFailed as error:
        if all(-1 not in spec.shape[1:] for spec in inputs):
            raise ModelBroken(f"{model.name}: {error}") from error
    return False


def _keeps_rows_apart(session: ModelSession) -> bool:
    """Whether two rows in are two rows out, in every output; unknown sizes are tried with a few lengths."""
    for length in (1, 8, 32):
        try:
            outputs = session.infer(_two_rows(session.inputs, length))
        except ExecutionFailed:
            continue
        return all(array.shape[:1] == (2,) for array in outputs.values())
    return False


def _two_rows(inputs: tuple[TensorSpec, ...], length: int) -> dict[str, NDArray[Any]]:
    row = made_up_row(inputs, length)
    return {name: np.repeat(array[:1], 2, axis=0) for name, array in row.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
