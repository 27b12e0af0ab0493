"""Work that takes long for an event loop."""

from __future__ import annotations

import threading

import pytest

from fovea.serving.fronts.rest.bulk import BULK_BYTES, Bulk

LONG_S = 20.0


def test_where_no_more_threads_are_to_be_had_work_is_done_at_once_and_not_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bulk, begun, may_end, done = Bulk(), threading.Event(), threading.Event(), list[str]()
    threads = list[threading.Thread]()

    def hold() -> None:
        threads.append(threading.current_thread())
        begun.set()
        may_end.wait(LONG_S)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    bulk.do(BULK_BYTES + 1, hold)
    assert begun.wait(LONG_S)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    bulk.do(BULK_BYTES + 1, done.append, "work")
    assert done == ["work"]
    del bulk  # its threads end once they have done whatever waits for them
    may_end.set()
    threads[0].join(LONG_S)
    assert done == ["work"]
