"""Log lines reach their reader whole and in order, or are lost and counted; nobody waits for one that has stopped."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fovea.serving.observability.log_handler import LogHandler

PIPE_BYTES = 16 * 1024
LONG = "x" * (3 * PIPE_BYTES)


@dataclass
class Pipe:
    """A small one, and a logger that writes to it."""

    read: int
    log: logging.Logger
    handler: LogHandler

    def lines(self) -> list[str]:
        """What is in it now."""
        os.set_blocking(self.read, False)
        found = b""
        try:
            while data := os.read(self.read, PIPE_BYTES):
                found += data
        except BlockingIOError:
            pass
        return found.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    log = logging.Logger("piped")
    handler = LogHandler(write)
    log.addHandler(handler)
    yield Pipe(read, log, handler)
    os.close(write)
    os.close(read)


def test_lines_are_written_in_order(pipe: Pipe) -> None:
    pipe.log.warning("one")
    pipe.log.warning("two, ünïcode and \udcff")
    assert pipe.lines() == ["one", "two, ünïcode and \\udcff"]


def test_a_line_longer_than_a_pipe_reaches_a_reader_whole(pipe: Pipe) -> None:
    found: list[str] = []
    with os.fdopen(os.dup(pipe.read), encoding="utf-8") as file:
        reader = threading.Thread(target=lambda: found.append(file.readline()), daemon=True)
        reader.start()
        pipe.log.warning(LONG)
        reader.join(20)
    assert found == [LONG + "\n"]


def test_a_reader_that_stops_holds_up_nobody_and_is_told_what_it_missed_when_it_reads_again(pipe: Pipe) -> None:
    for number in range(5000):
        pipe.log.warning("line %d", number)
    early = pipe.lines()
    assert early == [f"line {number}" for number in range(len(early))]
    pipe.log.warning("again")
    told, again = pipe.lines()
    assert told.endswith(f": {5000 - len(early)}")
    assert pipe.handler.lost_total == 5000 - len(early)
    assert again == "again"


def test_a_line_cut_short_spoils_no_other(pipe: Pipe) -> None:
    pipe.log.warning(LONG)
    assert LONG.startswith("".join(pipe.lines()))
    pipe.log.warning("next")
    assert pipe.lines()[-2:] == ["log lines that could not be written in time, or at all: 1", "next"]


def test_a_reader_that_is_gone_is_no_error() -> None:
    nobody, write = os.pipe()
    os.close(nobody)
    log = logging.Logger("unread")
    log.addHandler(LogHandler(write))
    log.warning("to nobody")
    os.close(write)
