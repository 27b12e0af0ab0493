"""Requests with pictures on their way to a model's queue: what is dead stays undecoded, what is too much is refused."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fakes import FakeObserver, FakeReply
from fovea.contract.errors import Draining, ExecutionFailed, InvalidRequest, QueueFull, VersionEnded
from fovea.contract.input_steps import Preprocessing
from fovea.inputs.makers import PictureMaker
from fovea.inputs.pictures import Limits
from fovea.serving.engines.queue_limit import QueueLimit
from fovea.serving.engines.queued_request import BatchKey, QueuedRequest
from fovea.serving.inputs.decode_lines import DecodeLines, Undecoded
from fovea.serving.inputs.decode_queue import DecodeQueue
from fovea.serving.inputs.raw_input import RawInput
from servers import wait_until

STEPS = Preprocessing(mode="L", height=2, width=2, mean=(0.5,), std=(0.5,)).steps
PICTURES = RawInput("image", "picture", PictureMaker(STEPS), np.dtype(np.float32), STEPS.row_shape)
KIND = BatchKey("any")


def white() -> bytes:
    data = io.BytesIO()
    Image.new("L", (2, 2), 255).save(data, "PNG")
    return data.getvalue()


def request(*pictures: bytes, **more: Any) -> QueuedRequest:
    inputs = {"image": np.array(pictures, np.object_)}
    more["bytes"] = sum(map(len, pictures))
    return QueuedRequest(inputs, len(pictures), KIND, FakeReply(), time.monotonic(), **more)


class Sent:
    """Where requests go on to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.requests: list[QueuedRequest] = []
        self.held: list[QueuedRequest] = []
        self.asked_again = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self._error = error

    def onward(self, request: QueuedRequest) -> None:
        self.held.append(request)
        self.go_on.wait()
        self.requests.append(request)
        if self._error is not None:
            raise self._error


def undecoded(one: QueuedRequest, sent: Sent, observer: FakeObserver | None = None, model: str = "m") -> Undecoded:
    return Undecoded(model, one, None, (PICTURES,), sent.onward, sent.asked_again.set, observer or FakeObserver())


def submit(queue: DecodeQueue, one: QueuedRequest, sent: Sent, observer: FakeObserver | None = None) -> None:
    queue.submit(undecoded(one, sent, observer))


def queue(**limits: int) -> DecodeQueue:
    return DecodeQueue(QueueLimit(**limits), Limits(max_pixels=100))


def test_pictures_go_on_as_a_tensor() -> None:
    sent, one = Sent(), request(white(), white())
    submit(queue(), one, sent)
    wait_until(lambda: bool(sent.requests))
    np.testing.assert_array_equal(one.inputs["image"], np.ones((2, 1, 2, 2), np.float32))
    assert one.bytes == 2 * 4 * 4


def test_data_that_was_left_for_here_is_decoded_first() -> None:
    sent, one = Sent(), request()
    data = {"image": np.array([white()], np.object_)}
    queue().submit(replace(undecoded(one, sent), decode=lambda: data))
    wait_until(lambda: bool(sent.requests))
    np.testing.assert_array_equal(one.inputs["image"], np.ones((1, 1, 2, 2), np.float32))


class Copies:
    """Makes a row of each byte, at 0.3 ms of a processor."""

    def row(self, data: bytes, *_: Any) -> np.ndarray:
        until_s = time.thread_time() + 0.0003
        while time.thread_time() < until_s:
            pass
        return np.array([data[0]])

    def joined(self, rows: Any) -> np.ndarray:
        return np.stack(rows)


def test_a_request_with_many_texts_gives_way_to_other_models_and_keeps_the_order_of_its_rows() -> None:
    texts = RawInput("image", "text", Copies(), np.dtype(np.int64), (-1,))
    both, sent, others = queue(), Sent(), Sent()
    many = [request(*[bytes([place]) for place in range(250)]) for _ in range(2)]
    for one in many:
        both.submit(replace(undecoded(one, sent), raw=(texts,)))
    both.submit(undecoded(request(white()), others, model="other"))
    wait_until(lambda: bool(others.requests))
    assert not sent.requests
    wait_until(lambda: len(sent.requests) == 2)
    for one in many:
        assert one.inputs["image"].ravel().tolist() == list(range(250))


def test_its_tensors_tell_what_it_shares_a_batch_with_where_only_they_show_that() -> None:
    sent, one = Sent(), request(white(), white())
    queue().submit(replace(undecoded(one, sent), batch_key=lambda arrays: BatchKey(arrays["image"].shape)))
    wait_until(lambda: bool(sent.requests))
    assert one.batch_key == BatchKey((2, 1, 2, 2))


@pytest.mark.parametrize("end", ["gone", "late"])
def test_what_nobody_waits_for_goes_on_undecoded_and_is_dropped_there(end: str) -> None:
    sent, one = Sent(), request(b"no picture", queue_until_s=time.monotonic() - 1 if end == "late" else None)
    one.reply.gone = end == "gone"
    submit(queue(), one, sent)
    wait_until(lambda: sent.requests == [one])
    assert one.inputs["image"].dtype == np.object_


@pytest.mark.parametrize(
    ("error", "answer"),
    [(None, InvalidRequest), (QueueFull("full"), QueueFull), (RuntimeError("a mistake"), ExecutionFailed)],
)
def test_what_fails_is_answered_and_counted(error: Exception | None, answer: type[Exception]) -> None:
    one, observer = request(b"no picture" if error is None else white()), FakeObserver()
    submit(queue(), one, Sent(error), observer)
    assert one.reply.done.wait(20)
    assert type(one.reply.error) is answer
    wait_until(lambda: len(observer.outcomes) == 1)


def test_where_the_version_has_ended_it_is_asked_again() -> None:
    sent = Sent(VersionEnded("swapped"))
    submit(queue(), request(white()), sent)
    assert sent.asked_again.wait(20)


@pytest.mark.parametrize(
    ("limits", "words"), [({"requests": 3}, "3 requests of .* wait"), ({"bytes": 2 * len(white())}, "2 requests")]
)
def test_what_waits_is_bounded_and_there_is_room_again(limits: dict[str, int], words: str) -> None:
    sent, pictures = Sent(), queue(**limits)
    sent.go_on.clear()
    for _ in range(2):
        submit(pictures, request(white()), sent)
    wait_until(lambda: len(sent.held) == 2)
    for _ in range(limits.get("requests", 2)):
        submit(pictures, request(white()), sent)
    with pytest.raises(QueueFull, match=f"decode queue full: {words}"):
        submit(pictures, request(white()), sent)
    sent.go_on.set()

    def there_is_room() -> bool:
        try:
            submit(pictures, request(white()), sent)
        except QueueFull:
            return False
        return True

    wait_until(there_is_room)


def test_when_it_is_closed_what_waits_and_what_is_new_is_refused_and_only_what_was_begun_goes_on() -> None:
    sent, pictures, observer = Sent(), queue(), FakeObserver()
    sent.go_on.clear()
    waiting = [request(white()) for _ in range(9)]
    for one in waiting:
        submit(pictures, one, sent, observer)
    pictures.close()
    refused = [one for one in waiting if type(one.reply.error) is Draining]
    assert len(refused) == len(observer.outcomes) >= 7
    with pytest.raises(Draining):
        submit(pictures, request(white()), sent)
    sent.go_on.set()
    wait_until(lambda: pictures.quiet)
    assert len(sent.requests) == 9 - len(refused)


def test_within_a_model_the_more_urgent_goes_first_and_what_was_begun_keeps_its_place() -> None:
    lines, now_s = DecodeLines(QueueLimit()), time.monotonic()
    same = now_s + 100
    flood = [request(white(), deadline_s=same) for _ in range(3)]
    urgent, soon = request(white(), priority=-1), request(white(), deadline_s=now_s + 1)
    for one in [*flood, soon, urgent]:
        lines.add(undecoded(one, Sent()))
    taken = [lines.take() for _ in range(3)]
    assert [one.request for one in taken] == [urgent, soon, flood[0]]
    lines.put_back(taken[2])
    assert [lines.take().request for _ in range(3)] == flood
    assert not lines


def test_models_share_the_time_evenly_however_long_their_pictures_take() -> None:
    lines, used_s = DecodeLines(QueueLimit()), {"dear": 0.0, "cheap": 0.0}
    for _ in range(100):
        for model in used_s:
            lines.add(undecoded(request(white()), Sent(), model=model))
    for _ in range(100):
        taken = lines.take()
        seconds = 1.0 if taken.model == "dear" else 0.1
        lines.charge(taken, seconds)
        used_s[taken.model] += seconds
    assert abs(used_s["dear"] - used_s["cheap"]) <= 1.0


def test_who_comes_back_is_neither_ahead_of_the_others_nor_behind_for_long_past_work() -> None:
    lines = DecodeLines(QueueLimit())

    def turns(count: int) -> list[str]:
        taken = [lines.take() for _ in range(count)]
        for one in taken:
            lines.charge(one, 1.0)
        return [one.model for one in taken]

    def add(model: str, count: int) -> None:
        for _ in range(count):
            lines.add(undecoded(request(white()), Sent(), model=model))

    add("a", 20)
    for _ in range(15):
        turns(1)
    add("new", 5)
    assert {turns(1)[0], turns(1)[0]} == {"a", "new"}
    add("a", 30)
    for _ in range(30):
        turns(1)
    add("new", 5)
    assert [turns(1)[0] for _ in range(4)].count("new") in (2, 3)


def test_another_models_picture_waits_for_one_picture_of_a_large_request_and_not_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on, dear, row = threading.Semaphore(0), threading.Semaphore(0), white(), RawInput.row

    def held_row(self: RawInput, number: int, data: list[bytes], limits: Limits) -> np.ndarray:
        if data == [dear]:
            begun.release()
            go_on.acquire()
        return row(self, number, data, limits)

    monkeypatch.setattr(RawInput, "row", held_row)
    pictures, sent, others = queue(), Sent(), Sent()
    for _ in range(2):
        submit(pictures, request(*[dear] * 9), sent)
    for _ in range(2):
        begun.acquire()
    pictures.submit(undecoded(request(white() + b"end"), others, model="other"))
    go_on.release()
    wait_until(lambda: bool(others.requests))
    assert not sent.requests
    for _ in range(17):
        go_on.release()
    wait_until(lambda: len(sent.requests) == 2)


def test_data_that_is_decoded_in_one_go_leaves_a_thread_for_pictures() -> None:
    both, sent, others = queue(), Sent(), Sent()
    go_on, begun = threading.Event(), []

    def decode() -> Any:
        begun.append(1)
        go_on.wait()
        return {}

    for model in ("data", "data", "more data"):
        both.submit(Undecoded(model, request(), decode, (), sent.onward, sent.asked_again.set, FakeObserver()))
    both.submit(undecoded(request(white()), others))
    wait_until(lambda: bool(others.requests))
    assert (len(begun), sent.requests) == (1, [])
    go_on.set()
    wait_until(lambda: len(sent.requests) == 3)
    wait_until(lambda: both.quiet)


def test_of_a_request_whose_caller_leaves_no_further_picture_is_decoded() -> None:
    sent, one = Sent(), request(white(), b"no picture")
    lines = queue()
    decode, one.inputs = one.inputs, {}

    def leave() -> Any:
        one.reply.gone = True
        return decode

    lines.submit(replace(undecoded(one, sent), decode=leave))
    wait_until(lambda: sent.requests == [one])


def test_a_full_line_refuses_nobody_elses_pictures() -> None:
    lines = DecodeLines(QueueLimit(requests=1))
    lines.add(undecoded(request(white()), Sent()))
    with pytest.raises(QueueFull, match="1 requests"):
        lines.add(undecoded(request(white()), Sent()))
    lines.add(undecoded(request(white()), Sent(), model="other"))
    assert len(lines.take_all()) == 2
