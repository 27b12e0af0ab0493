"""Histograms that take a batch's values at once. prometheus_client's own take one at a time, at 1 µs each."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Histogram:
    """One series: how many values fell into each bucket, and their sum. May be used by any thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)  # the last one: above every bound
        self._sum = 0.0
        self._lock = threading.Lock()

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

    def read(self) -> tuple[list[int], float]:
        """Values up to each bound and in all, and the sum, all of one moment."""
        with self._lock:
            return list(accumulate(self._counts)), self._sum


class Histograms(Collector):
    """A histogram metric: one `Histogram` per set of label values."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry, buckets: Sequence[float]
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = tuple(buckets)
        self._limits = [*(repr(float(bound)) for bound in buckets), "+Inf"]
        self._series: dict[tuple[str, ...], Histogram] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def labels(self, *values: str) -> Histogram:
        """The series of these label values; ValueError where they are not one for each label."""
        key = tuple(map(str, values))
        if len(key) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, received {key}")
        with self._lock:
            return self._series.setdefault(key, Histogram(self._bounds))

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Forget every series that has these values."""
        wanted = [(self._labels.index(name), value) for name, value in labels.items()]
        with self._lock:
            for key in [key for key in self._series if all(key[at] == value for at, value in wanted)]:
                del self._series[key]

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The metric without its series: the registry takes the names from it."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What a scrape reads."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        with self._lock:
            series = list(self._series.items())
        for key, histogram in series:
            counts, total = histogram.read()
            family.add_metric(key, list(zip(self._limits, map(float, counts), strict=True)), total)
        yield family
