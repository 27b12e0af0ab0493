"""What `fovea doctor` finds: facts under a topic, each of which may be what is wrong; as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.text import Text

Value = str | int | float | bool | None | Sequence[str] | Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """One fact. `wrong`: a server would not start, or not serve a model, because of it."""

    topic: str
    name: str
    value: Value
    wrong: bool = False


def as_json(findings: Iterable[Finding]) -> dict[str, object]:
    """`{"ok": …, "wrong": ["topic: name: value", …], "<topic>": {"<name>": value}}`."""
    found = list(findings)
    wrong = [f"{one.topic}: {one.name}: {shown(one.value)}" for one in found if one.wrong]
    topics = {topic: {one.name: one.value for one in group} for topic, group in _by_topic(found)}
    return {"ok": not wrong, "wrong": wrong, **topics}


def as_text(findings: Iterable[Finding]) -> Text:
    """A heading per topic, a line per fact; what is wrong is marked."""
    lines: list[Text] = []
    for topic, group in _by_topic(findings):
        width = max(len(one.name) for one in group)
        lines.append(Text(topic, style="bold"))
        for one in group:
            text = f"{'✗' if one.wrong else ' '} {one.name:{width}}  {shown(one.value)}"
            lines.append(Text(text, style="bold red" if one.wrong else ""))
    return Text("\n").join(lines)


def shown(value: Value) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {amount:.4g}" for name, amount in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(value) or "none"
    return f"{value:.3g}" if isinstance(value, float) else "not known" if value is None else str(value)


def costs(topic: str, facts: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """What batches cost, and the largest worth making; see `fovea.runtime.cost.BatchCost.facts`."""
    for cost in facts:
        lengths = lengths_of(cost)
        of = f" of length {lengths}" if lengths else ""
        yield Finding(topic, f"batch_ms{of}", {rows: seconds * 1e3 for rows, seconds in cost["seconds"].items()})
        yield Finding(topic, f"worthwhile_rows{of}", cost["worthwhile_rows"])


def lengths_of(cost: Mapping[str, Any]) -> str:
    """The lengths that a cost is of, in words; nothing for a model that has none."""
    several = ", ".join(f"{name} {size}" for name, size in cost.get("lengths", {}).items())
    return several or str(cost.get("length", ""))


def _by_topic(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    return [(topic, list(group)) for topic, group in groupby(findings, key=lambda one: one.topic)]
