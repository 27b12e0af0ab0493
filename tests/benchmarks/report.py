"""Findings as facts, as a table for people, and as JSON for the next run to be compared with."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from tests.benchmarks.machine import in_one_line

SIGNS = {"at least": "≥", "at most": "≤"}
SENSES: dict[str, Callable[[float, float], bool]] = {"at least": operator.ge, "at most": operator.le}


Verdict = Literal["pass", "tie", "miss"]
COLOURS: dict[Verdict, str] = {"pass": "green", "tie": "yellow", "miss": "red"}


@dataclass(frozen=True)
class Finding:
    """One measured figure beside the one it has to reach; None: it is only shown.

    `noise` is given where two sides may do the same: the share of the figure within which a difference shows nothing.
    """

    name: str
    value: float
    sense: Literal["at least", "at most"]
    target: float | None
    unit: str = "x"
    details: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether it is on the right side of its target, or so near that noise alone may keep it from there."""
        if self.target is None or SENSES[self.sense](self.value, self.target):
            return "pass"
        return "tie" if abs(self.value - self.target) <= self.noise * self.value else "miss"

    @property
    def passed(self) -> bool:
        """Whether nothing shows that its target is missed."""
        return self.verdict != "miss"


def show(findings: Sequence[Finding], machine: dict[str, str], short: bool) -> None:
    """Print the table; a short run says that it was one."""
    table = Table(title="Fovea: speed" + (" (short run: rough figures)" if short else ""), title_justify="left")
    for column in ("what", "measured", "target", "", "details"):
        table.add_column(column)
    for finding in findings:
        verdict = f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]"
        details = ", ".join(f"{name} {value:,.4g}" for name, value in finding.details.items())
        target = "" if finding.target is None else f"{finding.sense} {finding.target:g} {finding.unit}"
        measured = f"{finding.value:.3f} {finding.unit}" + (f" ±{finding.noise:.1%}" if finding.noise else "")
        table.add_row(finding.name, measured, target, verdict, details)
    console = Console(width=160)
    console.print(table)
    console.print(in_one_line(machine), highlight=False)


def write(path: Path, findings: Sequence[Finding], machine: dict[str, str]) -> None:
    """The same as JSON."""
    report = {"machine": machine, "findings": [as_facts(finding) for finding in findings]}
    path.write_text(json.dumps(report, indent=2) + "\n")


def as_facts(finding: Finding) -> dict[str, Any]:
    """As JSON has it, with the verdict."""
    return asdict(finding) | {"passed": finding.passed}
