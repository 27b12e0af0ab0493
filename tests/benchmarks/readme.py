"""README's generated parts: the charts from the benchmarks' JSON.

`python -m tests.benchmarks.readme build/bench.json --kernels build/bench-kernels.json` writes all that it is given the
figures of.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import in_one_line
from tests.benchmarks.report import SIGNS

README = Path(__file__).parents[2] / "README.md"
BAR_CELLS = 20


def chart(report: Mapping[str, Any]) -> str:
    """What attention adds to a network's time, as torch exports it and with Fovea; the machine below."""
    rows = [row for row in report["tax"] if row["rows"] == 1]
    most = max(row["percent"]["plain"]["value"] for row in rows)
    machine = report["machine"]
    head = [
        f"| attention on every bottleneck of a {report['network'].partition(',')[0]} | torch's export | Fovea | |",
        "|---|--:|--:|:--|",
    ]
    words = "What it adds to the time of the same network without it; ONNX Runtime both times, one picture, one core."
    lines = [_chart_row(row, most) for row in sorted(rows, key=lambda row: -row["percent"]["plain"]["value"])]
    return "\n".join([*head, *lines, "", f"{words} {in_one_line(machine)}; kernels for {machine['kernels']}."])


def _chart_row(row: Mapping[str, Any], most: float) -> str:
    plain, own = row["percent"]["plain"]["value"], row["tax"]["value"]
    bars = " → ".join("█" * max(1, round(BAR_CELLS * percent / most)) for percent in (plain, own))
    return f"| `{row['attention']}` | + {plain:.1f} % | + {own:.1f} % | {bars} |"


def speed(report: Mapping[str, Any]) -> str:
    """What the benchmark found, target by target."""
    rows = [_speed_row(finding) for finding in report["findings"]]
    return "\n".join(["| what | measured | target |", "|---|--:|--:|", *rows])


def _speed_row(finding: Mapping[str, Any]) -> str:
    unit = " " + finding["unit"]
    noise = f" ± {100 * finding['noise']:.1f} %" if finding["noise"] else ""
    missed = "" if finding["passed"] else " (missed)"
    target = "" if finding["target"] is None else f"{finding['sense']} {finding['target']:g}{unit}"
    return f"| {finding['name']} | {finding['value']:.2f}{unit}{noise}{missed} | {target} |"


def kernels(report: Mapping[str, Any]) -> str:
    """One row per kernel, a bar for its speed against torch's export, the machine below; then what a ResNet pays."""
    rows = [row for row in report["kernels"] if "fused" in row["microseconds"]]
    most = max(row["findings"]["plain"]["value"] for row in rows)
    head = [
        "| kernel | time | time ÷ copy (target) | export ÷ time (target) | body ÷ time | 1 ÷ 2 threads (target) | |",
        "|---|--:|--:|--:|--:|--:|:--|",
    ]
    machine = report["machine"]
    words = f"In multiples; float32, batch 8, one core. {in_one_line(machine)}; kernels for {machine['kernels']}."
    kernel_rows = [_kernel_row(row, most) for row in rows]
    return "\n".join([*head, *kernel_rows, "", words, "", *_heads(report), "", *_tax(report)])


def _kernel_row(row: Mapping[str, Any], most: float) -> str:
    findings = row["findings"]
    bar = "█" * max(1, round(BAR_CELLS * findings["plain"]["value"] / most))
    ratios = " | ".join(_beside_target(findings.get(column), 2) for column in ("copy", "plain", "body", "threads"))
    return f"| {row['label']} | {row['microseconds']['fused']:,.0f} µs | {ratios} | {bar} |"


def _heads(report: Mapping[str, Any]) -> list[str]:
    """Multi-head attention beside the quickest of ONNX Runtime's own forms."""
    words = "Multi-head attention, float32, one core, against the quickest of ONNX Runtime's own forms of it:"
    head = [
        "| batch, heads, tokens | time | GFLOP/s | quickest of its own | its time ÷ time (target) |",
        "|---|--:|--:|:--|--:|",
    ]
    return [words, "", *head, *map(_head_row, report["heads"])]


def _head_row(row: Mapping[str, Any]) -> str:
    figures = f"{row['microseconds']['kernel']:,.0f} µs | {row['gflop_per_s']:.0f} | {row['best']}"
    return f"| {row['label']} | {figures} | {_beside_target(row['finding'], 2)} |"


def _tax(report: Mapping[str, Any]) -> list[str]:
    """What attention adds in each form; the race on load takes the quicker one of bodies and kernels."""
    words = f"What attention on every bottleneck adds to the time of a {report['network']}, one core, in percent:"
    columns = "torch's export | bodies | kernels | the race takes"
    head = [f"| attention | batch | torch's export, OpenVINO | {columns} |", "|---|--:|--:|--:|--:|--:|--:|"]
    return [words, "", *head, *map(_tax_row, report["tax"])]


def _tax_row(row: Mapping[str, Any]) -> str:
    findings = (*(row["percent"].get(form) for form in ("openvino", "plain", "bodies", "kernels")), row["tax"])
    figures = " | ".join(_beside_target(finding, 1) for finding in findings)
    return f"| `{row['attention']}` | {row['rows']} | {figures} |"


def _beside_target(finding: Mapping[str, Any] | None, places: int) -> str:
    if finding is None:
        return ""
    if finding["target"] is None:
        return f"{finding['value']:.{places}f}"
    missed = "" if finding["passed"] else " (missed)"
    return f"{finding['value']:.{places}f} {SIGNS[finding['sense']]} {round(finding['target'], 2):g}{missed}"


def replaced(text: str, part: str, body: str) -> str:
    """The text with what stands between a part's two markers replaced."""
    pattern = rf"(<!-- {part} -->\n).*?(<!-- end of {part} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{body}\n{found[2]}", text, count=1, flags=re.DOTALL)


def main(words: Sequence[str] | None = None) -> int:
    """Write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.readme", description=__doc__)
    parser.add_argument("report", nargs="?", type=Path)
    parser.add_argument("--kernels", type=Path, help="the report of `make bench-kernels`")
    arguments = parser.parse_args(words)
    after = README.read_text()
    if arguments.report:
        report = json.loads(arguments.report.read_text())
        after = replaced(after, "speed", speed(report))
    if arguments.kernels:
        report = json.loads(arguments.kernels.read_text())
        after = replaced(replaced(after, "chart", chart(report)), "kernels", kernels(report))
    README.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
