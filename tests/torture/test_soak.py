"""What the soak takes for growth."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.torture.soak import steady_growth

LOOKS, PARTS = 600, 6


@pytest.mark.parametrize(
    ("value", "grown"),
    [
        (lambda look: 100 + 6 * look / LOOKS, 5.0),
        (lambda look: 100 + 6 * look / LOOKS + look % 7, 5.0),
        (lambda look: 100 if look < 250 else 116, 0.0),
        (lambda look: 100 + look % 7, 0.0),
        (lambda look: 100 - 6 * look / LOOKS, -5.0),
    ],
)
def test_what_adds_up_all_the_time_is_growth_and_a_step_is_not(value: Callable[[int], float], grown: float) -> None:
    assert steady_growth([value(look) for look in range(LOOKS)], PARTS) == pytest.approx(grown, abs=0.5)
