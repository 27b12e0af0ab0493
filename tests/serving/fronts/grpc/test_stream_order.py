"""In which order the answers of a stream are sent, whoever is ready first: on both lanes, before a fake inference."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from fakes import FakeInference
from fovea import wire
from fovea.serving.requests.answer import Answer, AnswerForm, AnswerMaker
from fovea.wire import message
from grpc_servers import grpc_here
from servers import wait_until

FORM = AnswerForm(AnswerMaker("m", "1", {}, batched=True), ())


def answer(text: str) -> Answer:
    return Answer(FORM, text, [])


class Talk:
    """A stream to a server whose inference does nothing by itself: the test answers its calls."""

    def __init__(self, channel: grpc.Channel, inference: FakeInference) -> None:
        self._inference = inference
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._answers = channel.stream_stream(wire.path("ModelStreamInfer"))(iter(self._requests.get, None), timeout=30)

    def ask(self, *ids: str) -> list[Any]:
        """The replies to so many requests."""
        replies, before = self._inference.replies, len(self._inference.replies)
        for request_id in ids:
            self._requests.put(bytes(message("ModelInferRequest")(model_name="m", id=request_id).SerializeToString()))
        wait_until(lambda: len(replies) == before + len(ids))
        return replies[before:]

    def hear(self, count: int) -> list[str]:
        """The next answers."""
        return [self._next().infer_response.id for _ in range(count)]

    def marks(self, count: int) -> list[bool]:
        """Whether each of the next answers says that it is the last of its request."""
        heard = [self._next().infer_response.parameters for _ in range(count)]
        return [parameters["triton_final_response"].bool_param for parameters in heard]

    def _next(self) -> Any:
        return message("ModelStreamInferResponse").FromString(next(self._answers))

    def end(self) -> None:
        self._requests.put(None)
        assert not list(self._answers)


@pytest.fixture(params=[True, False], ids=["fast lane", "pooled lane"])
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    inference = FakeInference()
    with (
        grpc_here(inference, fast_lane=request.param) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        talk = Talk(channel, inference)
        yield talk
        talk.end()


def test_requests_that_are_answered_once_are_answered_in_their_order(talk: Talk) -> None:
    calls = talk.ask("a", "b", "c")
    for place in (2, 0, 1):
        calls[place].send(answer(f"to {place}"))
    assert talk.hear(3) == ["to 0", "to 1", "to 2"]


def test_a_long_answer_holds_up_no_other_request_of_its_stream(talk: Talk) -> None:
    long, short, other = talk.ask("long", "short", "other")
    long.send(answer("long 1"), final=False)
    assert talk.hear(1) == ["long 1"]
    other.send(answer("to other"))
    short.send(answer("to short"))
    assert talk.hear(2) == ["to short", "to other"]
    long.send(answer("long 2"), final=False)
    long.send(answer("long 3"))
    assert talk.hear(2) == ["long 2", "long 3"]


def test_nor_does_one_whose_first_piece_takes_long(talk: Talk) -> None:
    long, short = talk.ask("long", "short")
    long.call.answers_many()
    short.send(answer("to short"))
    assert talk.hear(1) == ["to short"]
    long.send(answer("long"))
    assert talk.hear(1) == ["long"]


def test_pieces_are_sent_as_they_come_while_requests_before_them_have_no_answer(talk: Talk) -> None:
    first, long = talk.ask("first", "long")
    long.send(answer("long 1"), final=False)
    long.send(answer("long 2"))
    assert talk.hear(2) == ["long 1", "long 2"]
    first.send(answer("to first"))
    assert talk.hear(1) == ["to first"]


@pytest.mark.parametrize("request_id", ["same", ""])
def test_within_an_id_all_come_in_the_order_of_the_requests(talk: Talk, request_id: str) -> None:
    long, next_long, short = talk.ask(request_id, request_id, request_id)
    long.send(answer("long 1"), final=False)
    assert talk.hear(1) == ["long 1"]
    next_long.send(answer("next 1"), final=False)
    short.send(answer("to short"))
    next_long.send(answer("next 2"))
    long.send(answer("long 2"))
    assert talk.hear(4) == ["long 2", "next 1", "next 2", "to short"]


def test_each_answer_says_whether_it_is_the_last_of_its_request(talk: Talk) -> None:
    (call,) = talk.ask("a")
    for final in (False, False, True, True, False):  # what comes after the last is not sent
        call.send(answer("a"), final=final)
    assert talk.marks(3) == [False, False, True]


def test_a_stream_on_the_fast_lane_takes_no_thread() -> None:
    inference = FakeInference()
    with grpc_here(inference) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        others = {thread.name for thread in threading.enumerate()}
        talk = Talk(channel, inference)
        (call,) = talk.ask("a")
        call.send(answer("a"))
        assert talk.hear(1) == ["a"]
        mine = {thread.name for thread in threading.enumerate()} - others
        assert not [name for name in mine if name.startswith(("grpc-stream", "stream-reader"))]
        talk.end()
