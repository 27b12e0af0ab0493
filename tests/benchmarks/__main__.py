"""`make bench`: is the server as fast as it has to be? Each side on one core of this machine, the client on the other.

Every figure is of `fovea serve` as it ships, with validation, metrics, deadlines and cancellation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from tests.benchmarks import models
from tests.benchmarks.costs import costs
from tests.benchmarks.load import BenchmarkImpossible, require_h2load
from tests.benchmarks.machine import describe
from tests.benchmarks.report import Finding, show, write
from tests.benchmarks.rounds import FULL, SHORT
from tests.benchmarks.scenarios import Bench, every_finding


def main() -> int:
    """Measure, print, write JSON; status 1 where a target is missed."""
    arguments = _arguments()
    try:
        require_h2load()
        if len(os.sched_getaffinity(0)) < 2:
            raise BenchmarkImpossible("server and client need a core each, and this machine has one")
        findings = _measure(arguments)
    except BenchmarkImpossible as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    show(findings, describe(), arguments.short)
    return 0 if all(finding.passed for finding in findings) else 1


def _measure(arguments: argparse.Namespace) -> list[Finding]:
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        own, wide = Path(folder, "own"), Path(folder, "wide")
        models.write_identity(own)
        models.copy_with_and_without_maps(arguments.repository / "fashion-cbam" / "1", own)
        bench = Bench(arguments.repository, own, SHORT if arguments.short else FULL)
        if arguments.against:
            scenarios = [lambda: costs(own, arguments.against, bench.effort)]
        else:
            models.export_wide_cbam(wide)
            scenarios = every_finding(bench, wide, Path(folder))
        findings = []
        for scenario in scenarios:
            for finding in scenario():
                progress.print(f"{finding.name}: {finding.value:.3f}", highlight=False)
                findings.append(finding)
        write(arguments.json, findings, describe())
    return findings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="one or two minutes instead of five; rough figures")
    parser.add_argument("--against", type=Path, help="another tree, with a .venv: compare processor times, and no more")
    parser.add_argument("--repository", type=Path, default=Path("exported_models"))
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go")
    arguments = parser.parse_args()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
