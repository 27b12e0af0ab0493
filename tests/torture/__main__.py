"""`make torture`: faults, tried and counted, each with a real server and real clients; status 1 for a broken promise.

A message that fails is kept in build/torture; `--seed` makes the same messages again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from tests.benchmarks.machine import describe, in_one_line
from tests.torture import alerts, callers, fuzz, hostile, overload, pictures, soak, system
from tests.torture.effort import FULL, SHORT, Run
from tests.torture.report import Promise, Report, show, write

SCENARIOS: dict[str, Callable[[Run], Report]] = {
    "fuzz": fuzz.run,
    "fuzz-pooled": lambda run: fuzz.run(run.pooled()),
    "callers": callers.run,
    "callers-pooled": lambda run: callers.run(run.pooled()),
    "overload": overload.run,
    "hostile": hostile.run,
    "pictures": pictures.run,
    "system": system.run,
    "alerts": alerts.run,
    "soak": soak.run,
}


def main() -> int:
    """Run the scenarios one after another, print, write JSON."""
    arguments = _arguments()
    console = Console(width=160)
    reports = []
    for name in arguments.only or SCENARIOS:
        report = _timed(name, arguments)
        show(console, report)
        reports.append(report)
    machine = describe()
    console.print(in_one_line(machine), highlight=False)
    console.print(f"{sum(report.seconds for report in reports):.0f} s in all")
    write(arguments.json, reports, machine)
    return 0 if all(report.kept for report in reports) else 1


def _timed(name: str, arguments: argparse.Namespace) -> Report:
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fovea-torture-") as folder:
        effort = SHORT if arguments.short else FULL
        run = Run(effort, Path(folder), arguments.json.parent / "torture", arguments.seed)
        try:
            report = SCENARIOS[name](run)
        except Exception:  # the others still have their turn
            report = Report(name, {}, (Promise("the scenario comes to its end", traceback.format_exc(), False),))
    return replace(report, scenario=name, seconds=time.monotonic() - begun_s)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="three minutes instead of twenty; not judged by time")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--json", type=Path, default=Path("build/torture.json"), help="where the figures go")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
