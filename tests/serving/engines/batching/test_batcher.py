"""Which waiting requests form the next batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeReply
from fovea.serving.engines.batching.batcher import BatchPolicy, drop_dead, take_batch
from fovea.serving.engines.batching.waiting import Waiting
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest


def request(rows: int = 1, kind: object = "a", arrived_s: float = 0.0, **more: Any) -> QueuedRequest:
    return QueuedRequest({"x": np.zeros((rows, 1))}, rows, BatchKey(kind), FakeReply(), arrived_s, **more)


def test_rows_are_counted_not_requests() -> None:
    waiting = Waiting([request(3), request(3), request(3)])
    taken = take_batch(waiting, 0.0, BatchPolicy(max_rows=7))
    assert [one.rows for one in taken.batch] == [3, 3]
    assert waiting.requests == 1


def test_what_is_taken_off_counts_no_longer_whether_it_runs_or_not() -> None:
    waiting = Waiting(
        [request(bytes=100, work_s=1.0), request(kind="b", bytes=10, work_s=0.5), request(deadline_s=-1.0, bytes=1)]
    )
    assert (waiting.requests, waiting.bytes, waiting.work_s) == (3, 111, 1.5)
    take_batch(waiting, 0.0, BatchPolicy(8))
    assert (waiting.requests, waiting.bytes, waiting.work_s) == (1, 10, 0.5)
    take_batch(waiting, 0.0, BatchPolicy(8))
    assert (waiting.requests, waiting.bytes, waiting.work_s) == (0, 0, 0.0)


def test_a_smaller_request_may_fill_the_room_that_a_larger_one_left() -> None:
    waiting = Waiting([request(3), request(3), request(1)])
    taken = take_batch(waiting, 0.0, BatchPolicy(max_rows=4))
    assert [one.rows for one in taken.batch] == [3, 1]
    assert [one.rows for one in waiting] == [3]


def test_another_shape_neither_joins_nor_closes_a_batch() -> None:
    waiting = Waiting([request(kind="a"), request(kind="b"), request(kind="a")])
    taken = take_batch(waiting, 0.0, BatchPolicy(max_rows=8))
    assert [one.batch_key.shapes for one in taken.batch] == ["a", "a"]
    assert [one.batch_key.shapes for one in waiting] == ["b"]


def test_requests_for_maps_are_batched_apart() -> None:
    plain, maps = request(), request()
    maps.batch_key = BatchKey("a", maps=True)
    assert take_batch(Waiting([plain, maps]), 0.0, BatchPolicy(8)).batch == [plain]


def test_a_request_above_the_worthwhile_size_runs_alone() -> None:
    taken = take_batch(Waiting([request(9), request(1)]), 0.0, BatchPolicy(max_rows=4))
    assert [one.rows for one in taken.batch] == [9]


def test_an_idle_session_takes_what_is_waiting() -> None:
    assert take_batch(Waiting([request()]), 0.0, BatchPolicy(32)).wait_s == 0


def test_a_delay_holds_a_batch_that_has_room_until_its_oldest_has_waited_that_long() -> None:
    waiting = Waiting([request(arrived_s=10.0)])
    policy = BatchPolicy(max_rows=4, delay_s=0.5)
    early = take_batch(waiting, 10.2, policy)
    assert early.batch == []
    assert abs(early.wait_s - 0.3) < 1e-9
    assert len(take_batch(waiting, 10.5, policy).batch) == 1


def test_a_delay_holds_no_request_until_its_time_is_up() -> None:
    policy = BatchPolicy(max_rows=4, delay_s=0.5, cost=lambda _kind, rows: 0.05 * rows)
    waiting = Waiting([request(arrived_s=10.0, deadline_s=10.3), request(arrived_s=10.1)])
    held = take_batch(waiting, 10.05, policy)
    assert held.batch == []
    assert 0.0 < held.wait_s <= 10.3 - 10.05 - 0.1
    assert len(take_batch(waiting, 10.2, policy).batch) == 2


def test_a_full_batch_does_not_wait_for_its_delay() -> None:
    waiting = Waiting([request(2, arrived_s=10.0), request(2, arrived_s=10.0)])
    assert len(take_batch(waiting, 10.0, BatchPolicy(max_rows=4, delay_s=5)).batch) == 2


def test_cancelled_and_expired_requests_never_reach_a_batch() -> None:
    gone, expired, timed_out, well = request(), request(deadline_s=5.0), request(queue_until_s=5.0), request()
    gone.reply.gone = True  # type: ignore[misc]
    taken = take_batch(Waiting([gone, expired, timed_out, well]), 5.0, BatchPolicy(8))
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
    waiting = Waiting(requests)
    taken = take_batch(waiting, 1.0, BatchPolicy(max_rows, delay_s))
    ends = [*taken.batch, *taken.gone, *taken.late, *waiting]
    assert sorted(map(id, ends)) == sorted(map(id, requests))
    assert len({one.batch_key for one in taken.batch}) <= 1
    assert sum(one.rows for one in taken.batch) <= max_rows or len(taken.batch) == 1
    assert waiting.requests == len(list(waiting))
    assert waiting.bytes == sum(one.bytes for one in waiting)
    for line in waiting.lines():
        assert len({one.batch_key for one in line}) == 1
        assert [one.urgency for one in line] == sorted(one.urgency for one in line)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, 1.0, 2.0, 50.0]), st.integers(0, 5))))
def test_the_more_urgent_goes_first_by_priority_then_deadline_then_arrival(
    asked: list[tuple[int, float | None, int]],
) -> None:
    requests = [request(arrived_s=arrived, priority=level, deadline_s=due) for level, due, arrived in asked]
    waiting, taken = Waiting(requests), []
    while waiting.requests:
        taken += take_batch(waiting, 0.0, BatchPolicy(1)).batch
    assert taken == sorted(requests, key=lambda one: one.urgency)


def test_a_request_without_a_deadline_is_not_passed_for_ever() -> None:
    patient, urgent, later = request(arrived_s=0.0), request(arrived_s=5.0, deadline_s=6.0), request(arrived_s=9.9)
    much_later = request(arrived_s=10.5, deadline_s=10.6)
    waiting = Waiting([patient, much_later, later, urgent])
    order = [take_batch(waiting, 5.0, BatchPolicy(1)).batch[0] for _ in range(4)]
    assert order == [urgent, patient, much_later, later]


def test_the_kind_of_the_most_urgent_request_goes_first() -> None:
    waiting = Waiting([request(kind="a"), request(kind="b", priority=-1), request(kind="a")])
    assert take_batch(waiting, 0.0, BatchPolicy(8)).batch[0].batch_key.shapes == "b"


def test_a_kind_that_is_held_back_does_not_hold_back_another_that_is_full() -> None:
    waiting = Waiting([request(kind="a"), request(2, kind="b", arrived_s=0.1), request(2, kind="b", arrived_s=0.1)])
    taken = take_batch(waiting, 0.2, BatchPolicy(max_rows=4, delay_s=1))
    assert [one.batch_key.shapes for one in taken.batch] == ["b", "b"]
    assert taken.wait_s == 0


def test_a_batch_of_sequences_keeps_to_its_budget_of_elements() -> None:
    requests = [request() for _ in range(9)]
    for one in requests:
        one.batch_key = BatchKey("a", lengths=(64,))
    assert len(take_batch(Waiting(requests), 0.0, BatchPolicy(32, max_elements=256)).batch) == 4


def test_of_several_lengths_the_budget_of_elements_counts_all() -> None:
    requests = [request() for _ in range(9)]
    for one in requests:
        one.batch_key = BatchKey("a", lengths=(64, 20))
    assert len(take_batch(Waiting(requests), 0.0, BatchPolicy(32, max_elements=256)).batch) == 3


def test_a_single_sequence_above_the_budget_of_elements_runs_alone() -> None:
    requests = [request(), request()]
    for one in requests:
        one.batch_key = BatchKey("a", lengths=(512,))
    assert len(take_batch(Waiting(requests), 0.0, BatchPolicy(32, max_elements=256)).batch) == 1


def test_preferred_sizes_are_made_where_enough_waits_and_wait_for_no_company() -> None:
    policy = BatchPolicy(32, delay_s=5.0, preferred_rows=(4, 8))
    waiting = Waiting([request(arrived_s=at) for at in range(11)])
    assert len(take_batch(waiting, 10.0, policy).batch) == 8
    assert [one.arrived_s for one in waiting] == [8, 9, 10]
    assert take_batch(waiting, 10.0, policy).wait_s == 3.0
    assert len(take_batch(waiting, 13.0, policy).batch) == 3


def test_dropping_the_dead_leaves_the_others_in_order() -> None:
    gone, late, well, last = request(), request(deadline_s=1.0), request(), request(kind="b")
    gone.reply.gone = True  # type: ignore[misc]
    waiting = Waiting([gone, late, well, last])
    dropped = drop_dead(waiting, 2.0)
    assert (dropped.gone, dropped.late, list(waiting)) == ([gone], [late], [well, last])


def test_each_length_has_its_own_largest_batch() -> None:
    policy = BatchPolicy(max_rows=8, worthwhile_rows={(16,): 2, (32,): 1}.get)
    lengths = ((16,), (32,), (16,), (16,), (32,))
    waiting = Waiting(
        replace(request(arrived_s=at), batch_key=BatchKey("a", lengths=own)) for at, own in enumerate(lengths)
    )
    batches = [take_batch(waiting, 0.0, policy).batch for _ in range(4)]
    assert [[one.batch_key.lengths for one in batch] for batch in batches] == [[(16,)] * 2, [(32,)], [(16,)], [(32,)]]
