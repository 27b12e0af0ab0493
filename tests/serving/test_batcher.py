"""Which waiting requests form the next batch."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeReply
from fovea.serving.batcher import BatchPolicy, Kind, Request, take_batch


def request(rows: int = 1, kind: object = "a", arrived_s: float = 0.0, **times: float) -> Request:
    return Request({"x": np.zeros((rows, 1))}, rows, Kind(kind), FakeReply(), arrived_s, **times)


def test_rows_are_counted_not_requests() -> None:
    waiting = deque([request(3), request(3), request(3)])
    taken = take_batch(waiting, 0.0, BatchPolicy(max_rows=7))
    assert [one.rows for one in taken.batch] == [3, 3]
    assert len(waiting) == 1


def test_a_smaller_request_may_fill_the_room_that_a_larger_one_left() -> None:
    waiting = deque([request(3), request(3), request(1)])
    taken = take_batch(waiting, 0.0, BatchPolicy(max_rows=4))
    assert [one.rows for one in taken.batch] == [3, 1]
    assert [one.rows for one in waiting] == [3]


def test_another_shape_neither_joins_nor_closes_a_batch() -> None:
    waiting = deque([request(kind="a"), request(kind="b"), request(kind="a")])
    taken = take_batch(waiting, 0.0, BatchPolicy(max_rows=8))
    assert [one.kind.shapes for one in taken.batch] == ["a", "a"]
    assert [one.kind.shapes for one in waiting] == ["b"]


def test_requests_for_maps_are_batched_apart() -> None:
    plain, maps = request(), request()
    maps.kind = Kind("a", maps=True)
    assert take_batch(deque([plain, maps]), 0.0, BatchPolicy(8)).batch == [plain]


def test_a_request_above_the_worthwhile_size_runs_alone() -> None:
    taken = take_batch(deque([request(9), request(1)]), 0.0, BatchPolicy(max_rows=4))
    assert [one.rows for one in taken.batch] == [9]


def test_an_idle_session_takes_what_is_waiting() -> None:
    assert take_batch(deque([request()]), 0.0, BatchPolicy(32)).wait_s == 0


def test_a_delay_holds_a_batch_that_has_room_until_its_oldest_has_waited_that_long() -> None:
    waiting = deque([request(arrived_s=10.0)])
    policy = BatchPolicy(max_rows=4, delay_s=0.5)
    early = take_batch(waiting, 10.2, policy)
    assert early.batch == []
    assert abs(early.wait_s - 0.3) < 1e-9
    assert len(take_batch(waiting, 10.5, policy).batch) == 1


def test_a_full_batch_does_not_wait_for_its_delay() -> None:
    waiting = deque([request(2, arrived_s=10.0), request(2, arrived_s=10.0)])
    assert len(take_batch(waiting, 10.0, BatchPolicy(max_rows=4, delay_s=5)).batch) == 2


def test_cancelled_and_expired_requests_never_reach_a_batch() -> None:
    gone, expired, timed_out, well = request(), request(deadline_s=5.0), request(queue_until_s=5.0), request()
    gone.reply.gone = True  # type: ignore[misc]
    taken = take_batch(deque([gone, expired, timed_out, well]), 5.0, BatchPolicy(8))
    assert (taken.gone, taken.late, taken.batch) == ([gone], [expired, timed_out], [well])


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from("ab"), st.booleans(), st.sampled_from([0.5, 1.0, 1.5])),
        max_size=30,
    ),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.5]),
)
def test_no_request_is_lost_or_taken_twice_and_kinds_never_mix(
    rows: list[tuple[int, str, bool, float]], max_rows: int, delay_s: float
) -> None:
    requests = [request(n, kind, deadline_s=deadline) for n, kind, _, deadline in rows]
    for one, (_, _, gone, _) in zip(requests, rows, strict=True):
        one.reply.gone = gone  # type: ignore[misc]
    waiting = deque(requests)
    taken = take_batch(waiting, 1.0, BatchPolicy(max_rows, delay_s))
    ends = [*taken.batch, *taken.gone, *taken.late, *waiting]
    assert sorted(map(id, ends)) == sorted(map(id, requests))
    assert len({one.kind for one in taken.batch}) <= 1
    assert sum(one.rows for one in taken.batch) <= max_rows or len(taken.batch) == 1
    order = [requests.index(one) for one in waiting]
    assert order == sorted(order)


def test_each_length_has_its_own_largest_batch() -> None:
    policy = BatchPolicy(max_rows=8, rows_by_length={16: 2, 32: 1})
    lengths = (16, 32, 16, 16, 32)
    waiting = deque(replace(request(), kind=Kind("a", length=length)) for length in lengths)
    batches = [take_batch(waiting, 0.0, policy).batch for _ in range(4)]
    assert [[one.kind.length for one in batch] for batch in batches] == [[16, 16], [32], [16], [32]]
