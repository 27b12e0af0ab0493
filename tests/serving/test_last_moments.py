"""What is still waiting when the drain time is over: it is answered, and holds up nothing."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from rest_calls import rest
from servers import endless_model, requests_by_outcome, running_server, wait_until

ROOT = Path(__file__).parents[2]
LONG_S = 60.0
SHUTTING_DOWN = {"error": "the server is shutting down"}


def large_picture() -> bytes:
    """A PNG of hardly any bytes that takes half a second to decode."""
    data = io.BytesIO()
    Image.new("RGBA", (4000, 4000), (9, 8, 7, 100)).save(data, "PNG")
    return data.getvalue()


def test_sigterm_answers_the_pictures_that_wait_and_decodes_no_more(tmp_path: Path) -> None:
    (tmp_path / "fashion-cbam").symlink_to(ROOT / "exported_models" / "fashion-cbam")
    post = ("/v2/models/fashion-cbam/infer", large_picture(), {"Content-Type": "image/png"})
    flags = ("--kernels=off", "--max-queue=150", "--drain-timeout=0.1")
    with running_server(tmp_path, *flags) as server, ThreadPoolExecutor(170) as callers:
        sent = [callers.submit(rest, server, *post) for _ in range(170)]
        wait_until(lambda: requests_by_outcome(server)["rejected"] > 0)
        assert server.terminate() == 0
        answers = [call.result()[:2] for call in sent]
        assert {status for status, _ in answers} <= {200, 503}
        assert answers.count((503, SHUTTING_DOWN)) > 100


def test_when_the_drain_time_is_over_http_callers_are_told_so(tmp_path: Path) -> None:
    ask = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1e9] * 4}]}
    with running_server(endless_model(tmp_path), "--drain-timeout=0.1") as server, ThreadPoolExecutor(1) as caller:
        busy_s = server.cpu_s + 0.3
        call = caller.submit(rest, server, "/v2/models/endless/infer", ask)
        wait_until(lambda: server.cpu_s > busy_s)
        assert server.terminate() == 0
        assert call.result()[:2] == (503, SHUTTING_DOWN)
