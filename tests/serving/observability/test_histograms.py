"""Histograms count as prometheus_client's own do."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fovea.serving.observability.histograms import Histograms
from servers import samples

BOUNDS = (0.001, 0.01, 0.1, 1.0)
VALUES = (0.0, 0.0005, 0.001, 0.002, 0.01, 0.05, 0.5, 1.0, 1.5, 20.0)


def test_openmetrics_shows_the_latest_trace_of_each_bucket() -> None:
    ours = Histograms("took_seconds", "What it took.", ["model"], BOUNDS)
    ours.labels("m").observe_all([0.05, 0.06, 20.0])
    for value, trace in ((0.05, "a" * 32), (0.06, "b" * 32), (20.0, "c" * 32)):
        ours.labels("m").exemplify(value, trace)
    (family,) = text_string_to_metric_families("".join(ours.open_text()) + "# EOF\n")
    shown = {one.labels["le"]: one.exemplar for one in family.samples if one.exemplar}
    assert {le: (one.labels, one.value) for le, one in shown.items()} == {
        "0.1": ({"trace_id": "b" * 32}, 0.06),
        "+Inf": ({"trace_id": "c" * 32}, 20.0),
    }
    assert "trace_id" not in "".join(ours.text())


def test_a_series_without_a_value_is_left_out() -> None:
    ours = Histograms("took_seconds", "What it took.", ["model"], BOUNDS)
    ours.labels("silent")
    ours.labels("m").observe(0.5)
    assert {dict(labels)["model"] for _, labels in samples("".join(ours.text()))} == {"m"}


def test_every_value_is_in_the_bucket_in_which_prometheus_would_count_it() -> None:
    ours = Histograms("took_seconds", "What it took.", ["model"], BOUNDS)
    ours.labels("m").observe_all(VALUES[:7])
    for value in VALUES[7:]:
        ours.labels("m").observe(value)
    theirs = CollectorRegistry()
    expected = Histogram("took_seconds", "What it took.", ["model"], registry=theirs, buckets=BOUNDS).labels("m")
    for value in VALUES:
        expected.observe(value)
    wanted = samples(generate_latest(theirs).decode())
    assert samples("".join(ours.text())) == {key: value for key, value in wanted.items() if "_created" not in key[0]}
