"""Sides are measured in turn, and a difference that noise explains is called a tie."""

from __future__ import annotations

import pytest
from tests.benchmarks.report import Finding, Verdict
from tests.benchmarks.rounds import Rounds, in_turn


def test_neither_side_always_goes_first() -> None:
    order: list[str] = []
    in_turn({side: lambda side=side: order.append(side) or 1.0 for side in "ab"}, 4)  # type: ignore[misc]
    assert "".join(order) == "abbaabba"


def test_what_slows_both_sides_of_a_round_is_no_noise() -> None:
    rounds = Rounds({"a": [100.0, 50.0, 10.0, 75.0], "b": [200.0, 100.0, 20.0, 150.0]})
    assert rounds.ratio("a", "b") == pytest.approx(0.5)
    assert rounds.noise("a", "b") == pytest.approx(0.0)


@pytest.mark.parametrize(("noise", "verdict"), [(0.0, "miss"), (0.01, "miss"), (0.03, "tie")])
def test_a_target_missed_by_less_than_the_noise_is_a_tie(noise: float, verdict: Verdict) -> None:
    finding = Finding("rows/s", 0.98, "at least", 1.0, noise=noise)
    assert (finding.verdict, finding.passed) == (verdict, verdict == "tie")
