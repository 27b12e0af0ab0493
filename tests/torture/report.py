"""What a scenario ends in: figures and promises, as tables for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_MOST_SHOWN = 3


@dataclass(frozen=True)
class Promise:
    """What is promised, what was found, and whether it was kept; None: found, and not judged in this run."""

    says: str
    found: str
    kept: bool | None


@dataclass(frozen=True)
class Report:
    """One scenario's figures and promises."""

    scenario: str
    figures: dict[str, float | str]
    promises: tuple[Promise, ...]
    seconds: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether no promise was broken."""
        return all(promise.kept is None or promise.kept for promise in self.promises)


def none_of(says: str, found: Sequence[str]) -> Promise:
    """A promise that something does not happen; `found` are the times when it did."""
    shown = "; ".join(found[:_MOST_SHOWN])
    return Promise(says, f"{len(found)}: {shown}" if found else "none", not found)


def at_most(says: str, value: float, limit: float, unit: str = "", judged: bool = True) -> Promise:
    """A promise that a figure stays at or under a limit."""
    return Promise(says, f"{value:,.4g} {unit}, at most {limit:,.4g}", bool(value <= limit) if judged else None)


def at_least(says: str, value: float, limit: float, unit: str = "", judged: bool = True) -> Promise:
    """A promise that a figure stays at or above a limit."""
    return Promise(says, f"{value:,.4g} {unit}, at least {limit:,.4g}", bool(value >= limit) if judged else None)


def show(console: Console, report: Report) -> None:
    """Print a scenario's figures and promises."""
    title = f"{report.scenario}: {report.seconds:.0f} s"
    figures = Table(title=title, title_justify="left", show_header=False)
    for name, value in report.figures.items():
        figures.add_row(name, value if isinstance(value, str) else f"{value:,.6g}")
    console.print(figures)
    promises = Table("promised", "found", "")
    for promise in report.promises:
        promises.add_row(escape(promise.says), escape(promise.found), _VERDICTS[promise.kept])
    console.print(promises)


_VERDICTS = {True: "[green]kept[/]", False: "[red]broken[/]", None: "not judged"}


def write(path: Path, reports: Sequence[Report], machine: dict[str, str]) -> None:
    """The same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"machine": machine, "reports": [_facts(report) for report in reports]}
    path.write_text(json.dumps(facts, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's."""
    return value.item()


def _facts(report: Report) -> dict[str, Any]:
    return asdict(report) | {"kept": report.kept}
