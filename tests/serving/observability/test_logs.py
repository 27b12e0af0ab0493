"""What Python itself would write to standard error is a log line too."""

from __future__ import annotations

import json
import subprocess
import sys

SAYS = """
import logging, threading, warnings
from fovea.serving.observability.logs import set_up_logs

class Ends:
    def __del__(self):
        raise ValueError("in the end")

set_up_logs("debug", "json")
warnings.warn("careful")
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
del (ends := [Ends()])[0]
logging.getLogger("PIL.PngImagePlugin").debug("a part of a picture")
"""


def test_warnings_and_the_last_words_of_threads_and_objects_are_lines_of_json() -> None:
    said = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, timeout=60, check=True).stderr
    warning, thread, object_ = map(json.loads, said.splitlines())
    assert "careful" in warning["message"]
    assert thread["message"] == "thread worker ended"
    assert "ZeroDivisionError" in thread["traceback"]
    assert "in the end" in object_["traceback"]
