"""However many scrape, few texts are written, and none is from before it was asked for."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from urllib.request import urlopen

from fovea.serving.observability.histograms import Histograms
from fovea.serving.observability.metrics_server import MetricsServer
from fovea.serving.observability.scrapes import Scrapes
from servers import samples, total, wait_until


def test_who_comes_while_a_text_is_written_gets_the_next_one_and_shares_it() -> None:
    numbers, begun, go_on = count(1), threading.Event(), threading.Event()

    def write() -> bytes:
        number = next(numbers)
        begun.set()
        assert go_on.wait(20)
        return b"%d" % number

    scrapes = Scrapes(write)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(scrapes.latest)
        assert begun.wait(20)
        later = [pool.submit(scrapes.latest) for _ in range(9)]
        wait_until(lambda: all(one.running() for one in later))
        go_on.set()
        assert first.result().text == b"1"
        assert {one.result().text for one in later} == {b"2"}
    scrapes.close()


def test_writing_takes_a_tenth_of_the_time_at_most_however_many_ask() -> None:
    texts = count()
    scrapes = Scrapes(lambda: b"%d" % next(texts))
    end = threading.Event()

    def scrape() -> None:
        while not end.is_set():
            scrapes.latest()

    with ThreadPoolExecutor(24) as pool:
        askers = [pool.submit(scrape) for _ in range(24)]
        end.wait(0.65)
        end.set()
        for asker in askers:
            asker.result()
    scrapes.close()
    assert next(texts) <= 10  # one each 0.1 s, and the last one


def test_a_scrape_that_waits_for_its_text_is_not_cut_off_for_others_that_say_nothing() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write() -> bytes:
        begun.set()
        assert go_on.wait(20)
        return b"a text"

    server = MetricsServer("127.0.0.1", 0, write, write, None)
    with ThreadPoolExecutor(1) as pool:
        scraped = pool.submit(lambda: urlopen(f"http://127.0.0.1:{server.port}", timeout=20).read())
        assert begun.wait(20)
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        silent[0].settimeout(20)
        assert silent[0].recv(1) == b""  # it was cut off: all have been let in
        go_on.set()
        assert scraped.result() == b"a text"
    for one in silent:
        one.close()
    server.stop()


def test_a_histogram_writes_what_it_has_counted_and_any_label_as_it_is() -> None:
    odd = 'a "quote", a \\ and\na new line, 100 %d'
    histograms = Histograms("h_seconds", "Some words.", ("label",), (0.5, 1.0))
    series = histograms.labels(odd)
    for value in (0.1, 0.5, 0.7, 3.0):
        series.observe(value)
        text = "".join(histograms.text())
    found = samples(text)
    assert [total(found, "h_seconds_bucket", label=odd, le=limit) for limit in ("0.5", "1.0", "+Inf")] == [2, 3, 4]
    assert (total(found, "h_seconds_count"), total(found, "h_seconds_sum")) == (4, 4.3)
