"""The kernels' table for people, and as JSON for README's chart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.benchmarks.kernels_heads import FORMS as HEAD_FORMS
from tests.benchmarks.kernels_heads import OURS as OUR_HEADS
from tests.benchmarks.kernels_heads import HeadRow
from tests.benchmarks.kernels_profile import KINDS
from tests.benchmarks.kernels_race import COLUMNS, KernelRow
from tests.benchmarks.kernels_tax import FORMS, TaxRow
from tests.benchmarks.machine import in_one_line
from tests.benchmarks.report import SIGNS, Finding, as_facts

HEADINGS = {
    "copy": "as long as a copy",
    "plain": "as fast as torch's export",
    "body": "as its body",
    "threads": "with 2 threads",
    "float16": "in float16",
}
"""Column -> what stands above its multiples."""


@dataclass(frozen=True)
class Report:
    """Everything that was measured; `notes`: what to know before reading it; `network`: whose tax it is."""

    machine: dict[str, str]
    notes: tuple[str, ...]
    kernels: tuple[KernelRow, ...]
    heads: tuple[HeadRow, ...]
    network: str
    tax: tuple[TaxRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every target is met."""
        return all(row.passed for row in (*self.kernels, *self.heads, *self.tax))


def show(report: Report) -> None:
    """Print four tables and the machine."""
    console = Console(width=190)
    title = "; ".join(("Fovea: kernels", *report.notes))
    for table in (
        _kernel_table(report.kernels, title),
        _head_table(report.heads),
        _tax_table(report.tax, report.network),
        _kinds_table(report.tax),
    ):
        console.print(table)
    console.print("Medians over rounds and, in brackets, quartiles; all sides in turn in one run.", highlight=False)
    console.print(f"{in_one_line(report.machine)}; kernels for {report.machine['kernels']}", highlight=False)


def write(path: Path, report: Report) -> None:
    """The same as JSON."""
    facts = asdict(report) | {
        "kernels": [asdict(row) | {"findings": _facts(row.findings)} for row in report.kernels],
        "heads": [asdict(row) | {"finding": as_facts(row.finding)} for row in report.heads],
        "tax": [asdict(row) | {"percent": _facts(row.percent), "tax": as_facts(row.tax)} for row in report.tax],
    }
    path.write_text(json.dumps(facts, indent=2) + "\n")


def _facts(findings: Mapping[str, Finding]) -> dict[str, dict[str, Any]]:
    return {name: as_facts(finding) for name, finding in findings.items()}


def _kernel_table(rows: Sequence[KernelRow], title: str) -> Table:
    table = _table(title, "kernel", "µs", *HEADINGS.values())
    for row in rows:
        fused = row.microseconds.get("fused")
        cells = [_cell(row.findings.get(column)) for column in COLUMNS]
        table.add_row(row.label, "[red]no kernel[/]" if fused is None else f"{fused:.0f}", *cells)
    return table


def _head_table(rows: Sequence[HeadRow]) -> Table:
    title = "Multi-head attention, and ONNX Runtime's own forms of it"
    table = _table(
        title, "sizes", f"{OUR_HEADS} µs", "GFLOP/s", *(f"{form} µs" for form in HEAD_FORMS), "as fast as the best"
    )
    for row in rows:
        times = [f"{row.microseconds[form]:.0f}" for form in (OUR_HEADS, *HEAD_FORMS)]
        table.add_row(row.label, times[0], f"{row.gflop_per_s:.0f}", *times[1:], _cell(row.finding))
    return table


def _tax_table(rows: Sequence[TaxRow], network: str) -> Table:
    title = f"Attention tax: percent that attention adds to a {network}"
    forms = tuple(rows[0].percent) if rows else FORMS
    table = _table(title, "attention", "batch", "ms without", *forms, "the race takes", "")
    for row in rows:
        cells = [_cell(finding) for finding in (*row.percent.values(), row.tax)]
        table.add_row(row.attention, str(row.rows), f"{row.without_ms:.1f}", *cells, row.chosen)
    return table


def _kinds_table(rows: Sequence[TaxRow]) -> Table:
    title = "Where it goes: percent that each kind of node adds, by ONNX Runtime's profiler"
    table = _table(title, "attention", "batch", "form", *KINDS, "sum")
    for row in rows:
        for form, kinds in row.kinds.items():
            figures = [f"{value:+.1f}" for value in (*kinds.values(), sum(kinds.values()))]
            table.add_row(row.attention, str(row.rows), form, *figures)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _cell(finding: Finding | None) -> str:
    """The value, its quartiles and its target."""
    if finding is None:
        return ""
    places = 1 if finding.unit == "%" else 2
    figures = " to ".join(f"{finding.details[side]:.{places}f}" for side in ("low", "high"))
    text = f"{finding.value:.{places}f} ({figures})"
    if finding.target is None:
        return text
    return f"[{'green' if finding.passed else 'red'}]{text} {SIGNS[finding.sense]} {finding.target:g}[/]"
