"""Which answers of a stream may be sent now.

Requests that are answered once are answered in the order in which they came. Answers of a request that has many are
sent as they come: it holds up no other request, and none holds it up. Within an id all go in their order.
"""

from __future__ import annotations

from collections import deque

from fovea.serving.fronts.grpc.stream_call import StreamCall

Ready = tuple[bytes, StreamCall | None]
"""A message, and the call whose last one it is, if it is that."""


class StreamOrder:
    """The calls of a stream whose last answer may not be sent yet, in the order in which they came."""

    def __init__(self) -> None:
        self._calls: deque[StreamCall] = deque()
        self._all_answer_once = True

    def add(self, call: StreamCall) -> None:
        """Take in a request that has just come."""
        self._calls.append(call)

    def answers_many(self, call: StreamCall) -> None:
        """From now on it waits for none but those of its id, and none but these for it."""
        call.answers_once = self._all_answer_once = False

    def take_ready(self) -> list[Ready]:
        """The messages that may be sent, in this order."""
        return self._from_the_front() if self._all_answer_once else self._by_id()

    def _from_the_front(self) -> list[Ready]:
        calls = self._calls
        ready: list[Ready] = []
        while calls and calls[0].ended:
            ready.append((calls[0].answers[0], calls.popleft()))
        return ready

    def _by_id(self) -> list[Ready]:
        ready: list[Ready] = []
        open_ids: set[str] = set()
        one_is_open = False
        """Whether an earlier request that answers once has no answer yet."""
        for call in list(self._calls):
            must_wait = call.id in open_ids or (call.answers_once and one_is_open)
            if not must_wait:
                ready += _taken_from(call)
            if must_wait or not call.ended:
                open_ids.add(call.id)
                one_is_open |= call.answers_once
            else:
                self._calls.remove(call)
        self._all_answer_once = all(call.answers_once for call in self._calls)
        return ready


def _taken_from(call: StreamCall) -> list[Ready]:
    messages, call.answers = call.answers, []
    ready: list[Ready] = [(message, None) for message in messages]
    if call.ended:
        ready[-1] = (messages[-1], call)
    return ready
