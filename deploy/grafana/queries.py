"""PromQL over the metrics that are served: names and labels are looked up in their table, so that none is made up."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fovea.serving.observability.metrics import METRICS

_CHOSEN = ("model", "attention")
"""Labels that a dashboard's variables choose values of."""
_PARTS = ("_bucket", "_sum", "_count")
_WINDOW = "[$__rate_interval]"
_LONGER = {"fovea_attention_op_seconds": "[5m]"}
"""Where bodies run, a batch is sampled every 30 seconds, and a shorter window would often have none."""


def series(name: str, part: str = "", /, **where: str) -> str:
    """A selector of a metric's series; a value that begins with ~ is a regular expression.

    KeyError where no such metric is served, ValueError where it has no such label.
    """
    labels = METRICS[name].labels
    if unknown := where.keys() - {*labels}:
        raise ValueError(f"{name} has the labels {labels}, asked for {unknown}")
    chosen = [f'{label}=~"${label}"' for label in _CHOSEN if label in labels and label not in where]
    asked = [f'{label}=~"{value[1:]}"' if value[:1] == "~" else f'{label}="{value}"' for label, value in where.items()]
    selected = ",".join([*chosen, *asked])
    return f"{name}{part}{{{selected}}}" if selected else f"{name}{part}"


def total(name: str, *by: str, **where: str) -> str:
    """The sum of a gauge's series."""
    return f"sum{_by(by)}({series(name, **where)})"


def per_second(name: str, *by: str, part: str = "", **where: str) -> str:
    """How fast a counter, or a part of a histogram, rises."""
    return f"sum{_by(by)}(rate({series(name, part, **where)}{_LONGER.get(name, _WINDOW)}))"


def mean(histogram: str, *by: str, **where: str) -> str:
    """The mean of a histogram's values."""
    parts = (per_second(histogram, *by, part=part, **where) for part in ("_sum", "_count"))
    return " / ".join(parts)


def quantile(share: float, histogram: str, *by: str, **where: str) -> str:
    """The value that this share of a histogram's values do not exceed."""
    return f"histogram_quantile({share}, {per_second(histogram, 'le', *by, part='_bucket', **where)})"


def metrics_in(queries: Iterable[str]) -> list[str]:
    """The names in the table of what queries ask for, and other names as they are."""
    names = [name for query in queries for name in re.findall(r"\bfovea_\w+", query)]
    return list(dict.fromkeys(name if name in METRICS else _whole(name) for name in names))


def _whole(name: str) -> str:
    found = [name.removesuffix(part) for part in _PARTS if name.endswith(part)]
    return found[0] if found and found[0] in METRICS else name


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""
