"""Histograms that take a batch's values at once, and write their own text.

prometheus_client's own take one value at a time, at 1 µs each; its text takes 8 µs a line, and a version has 250.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate


class Histogram:
    """One series: how many values fell into each bucket, and their sum. May be used by any thread."""

    def __init__(self, bounds: Sequence[float], template: str) -> None:
        """Its text is the template with its counts, the sum, and the count of all, in this order."""
        self._bounds, self._template = bounds, template
        self._counts = [0] * (len(bounds) + 1)  # the last one: above every bound
        self._sum = 0.0
        self._lock = threading.Lock()
        self._told: tuple[tuple[int, float], str] | None = None
        self._exemplars: dict[int, str] = {}
        """Bucket -> the latest value in it whose trace is known, as OpenMetrics writes it."""

    def observe(self, value: float) -> None:
        """Count one value."""
        self.observe_all((value,))

    def observe_all(self, values: Sequence[float]) -> None:
        """Count every value; one that equals a bound is below it."""
        counts, bounds = self._counts, self._bounds
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
            self._sum += sum(values)

    def exemplify(self, value: float, trace_id: str) -> None:
        """Show the trace of a value that is counted, or about to be."""
        text = f' # {{trace_id="{trace_id}"}} {value!r} {time.time():.3f}'
        with self._lock:
            self._exemplars[bisect_left(self._bounds, value)] = text

    def read(self) -> tuple[list[int], float]:
        """Values up to each bound and in all, and the sum, all of one moment."""
        with self._lock:
            return list(accumulate(self._counts)), self._sum

    def text(self) -> str:
        """Its lines: most series stand still between two scrapes, and have theirs ready. None without a value."""
        counts, total = self.read()
        if not counts[-1]:
            return ""
        state = (counts[-1], total)
        if self._told is None or self._told[0] != state:
            self._told = state, self._template % (*counts, repr(total), counts[-1])
        return self._told[1]

    def open_text(self) -> str:
        """The same with its exemplars, which are OpenMetrics' alone: a line for each bucket comes first."""
        text = self.text()
        with self._lock:
            exemplars = dict(self._exemplars)
        if not text or not exemplars:
            return text
        lines = text.splitlines()
        for bucket, exemplar in exemplars.items():
            lines[bucket] += exemplar
        return "\n".join([*lines, ""])


class Histograms:
    """A histogram metric: one `Histogram` per set of label values."""

    def __init__(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._name, self._labels = name, tuple(labels)
        self._head = f"# HELP {name} {text}\n# TYPE {name} histogram\n"
        self._bounds = tuple(buckets)
        self._series: dict[tuple[str, ...], Histogram] = {}
        self._lock = threading.Lock()

    def labels(self, *values: str) -> Histogram:
        """The series of these label values; ValueError where they are not one for each label."""
        key = tuple(map(str, values))
        if len(key) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, received {key}")
        with self._lock:
            if key not in self._series:
                self._series[key] = Histogram(self._bounds, self._template(key))
            return self._series[key]

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Forget every series that has these values."""
        wanted = [(self._labels.index(name), value) for name, value in labels.items()]
        with self._lock:
            for key in [key for key in self._series if all(key[at] == value for at, value in wanted)]:
                del self._series[key]

    def text(self) -> Iterator[str]:
        """What a scrape reads, in parts. A series that has no value yet is left out: most never have one."""
        yield self._head
        for histogram in self._all():
            yield histogram.text()

    def open_text(self) -> Iterator[str]:
        """The same for OpenMetrics, with exemplars."""
        yield self._head
        for histogram in self._all():
            yield histogram.open_text()

    def _all(self) -> list[Histogram]:
        with self._lock:
            return list(self._series.values())

    def _template(self, key: tuple[str, ...]) -> str:
        pairs = zip(self._labels, map(_escaped, key), strict=True)
        labels = ",".join(f'{name}="{value}"' for name, value in pairs).replace("%", "%%")
        limits = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        lines = [f'{self._name}_bucket{{{labels},le="{limit}"}} %d.0\n' for limit in limits]
        return "".join([*lines, f"{self._name}_sum{{{labels}}} %s\n", f"{self._name}_count{{{labels}}} %d.0\n"])


def _escaped(value: str) -> str:
    """A label's value as the text format has it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
