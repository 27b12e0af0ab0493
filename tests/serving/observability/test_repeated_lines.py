"""Lines that are logged again and again are counted, not written; none that says something new is lost among them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit
from socket import create_connection
from urllib.parse import urlsplit

import pytest

from fovea.serving.observability.repeated_lines import MOST_OF_A_PLACE, MOST_OF_A_TEXT, RepeatedLines
from servers import running_server, wait_until


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[RepeatedLines]:
    """A filter on what `caplog` keeps."""
    repeated = RepeatedLines()
    caplog.handler.addFilter(repeated)
    caplog.set_level(logging.DEBUG)
    yield repeated
    caplog.handler.removeFilter(repeated)


def test_a_line_that_is_repeated_is_written_five_times_and_then_counted(
    lines: RepeatedLines, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2000):
        logging.error("no %s", "room")
    assert caplog.messages == ["no room"] * 5
    lines.tell()
    assert caplog.messages[5:] == ["1995 more lines were left out, of the kind of: no room"]
    assert caplog.records[-1].levelno == logging.ERROR


def test_after_it_was_told_it_is_written_again_and_what_was_not_left_out_is_not_told(
    lines: RepeatedLines, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for _ in range(MOST_OF_A_TEXT):
            logging.warning("again")
        lines.tell()
    assert caplog.messages == ["again"] * 2 * MOST_OF_A_TEXT


def test_lines_that_differ_are_written_but_not_without_end(
    lines: RepeatedLines, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2000):
        logging.error("model %d is damaged", number)
    assert caplog.messages == [f"model {number} is damaged" for number in range(MOST_OF_A_PLACE)]
    logging.error("something else")
    assert caplog.messages[-1] == "something else"
    lines.tell()
    assert caplog.messages[-1] == "1900 more lines were left out, of the kind of: model 100 is damaged"


def test_different_errors_behind_the_same_words_are_told_apart(
    lines: RepeatedLines, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (ValueError("a"), ValueError("b"), KeyError("a")):
        for _ in range(100):
            logging.error("unforeseen", exc_info=error)
    told = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert told == ["a"] * MOST_OF_A_TEXT + ["b"] * MOST_OF_A_TEXT + ["'a'"] * MOST_OF_A_TEXT
    assert lines


def test_news_and_what_is_asked_for_by_level_are_never_left_out(
    lines: RepeatedLines, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(200):
        logging.info("ready")
        logging.debug("refused")
    assert len(caplog.messages) == 400
    assert lines


def test_a_server_without_descriptors_says_so_a_few_times(repository: Path) -> None:
    with running_server(repository, "--drain-delay=1") as server:  # in which it says so some ten times more
        open_files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        prlimit(server.process.pid, RLIMIT_NOFILE, (open_files + 4, open_files + 4))
        address = urlsplit(server.http)
        callers = [create_connection((address.hostname, address.port), timeout=20) for _ in range(10)]
        wait_until(lambda: sum("no HTTP caller can be taken in" in line for line in server.errors) >= MOST_OF_A_TEXT)
        assert server.terminate() == 0
        for caller in callers:
            caller.close()
        wait_until(lambda: any("more lines were left out" in line for line in server.errors))
        assert sum('"traceback"' in line for line in server.errors) < 50
