"""The weight that a replica tells a balancer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fovea.serving.engines.engine import Load
from fovea.serving.observability.agent_weight import agent_word, weight

seconds = st.floats(0, 1e6)
loads = st.lists(st.builds(Load, waiting_s=seconds, batch_s=st.none() | st.floats(1e-6, 1e3)), max_size=5)


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ([], 100),
        ([Load(0.0, 0.01)], 100),
        ([Load(0.01, 0.01)], 50),
        ([Load(0.03, 0.01)], 25),
        ([Load(10.0, 0.01)], 1),
        ([Load(0.0, None)], 100),
        ([Load(0.01, 0.01), Load(2.0, 1.0)], 25),
    ],
    ids=["no models", "idle", "a batch ahead", "three ahead", "far behind", "not measured", "two models"],
)
def test_the_weight_is_the_share_of_an_idle_replica_by_the_batches_ahead(waiting: list[Load], expected: int) -> None:
    assert weight(waiting) == expected


@given(loads)
def test_the_weight_is_a_percentage_and_never_0(waiting: list[Load]) -> None:
    assert 1 <= weight(waiting) <= 100


@given(loads, seconds, st.floats(1e-6, 1e3))
def test_more_work_never_raises_the_weight(waiting: list[Load], waiting_s: float, batch_s: float) -> None:
    assert weight([*waiting, Load(waiting_s, batch_s)]) <= weight(waiting)


@given(loads)
def test_who_is_not_ready_is_sent_nothing_however_idle(waiting: list[Load]) -> None:
    assert agent_word(False, waiting) == "drain"
