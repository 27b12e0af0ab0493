"""On a terminal, people read; where standard output or error is piped, programs do."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fovea.client import Client
from fovea.serving.announcement import in_lines
from fovea.serving.observability.logs import TextLines
from servers import running_server, wait_until

COLUMNS = 60


@contextmanager
def on_a_terminal(repository: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server whose output and errors go to a terminal of 60 columns, and that terminal's other end."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, COLUMNS))
    ports = ("--grpc-port=0", "--http-port=0", "--metrics-port=0")
    asked = (f"--repository={repository}", "--ready-when=any", *ports, *flags)
    command = [sys.executable, "-m", "fovea.cli", "serve", *asked]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env={**os.environ, "COLUMNS": str(COLUMNS)})
    os.close(its)
    try:
        yield process, ours
    finally:
        process.kill() if process.poll() is None else None
        process.wait(30)
        os.close(ours)


def read_until(text: str, terminal: int) -> str:
    found = b""
    while text.encode() not in found:
        found += os.read(terminal, 4096)
    return found.decode().replace("\r\n", "\n")


def test_on_a_terminal_the_ready_line_is_a_table_and_logs_are_text(repository: Path) -> None:
    with on_a_terminal(repository) as (server, terminal):
        shown = read_until("kernels", terminal)
        server.send_signal(signal.SIGTERM)
        shown += read_until("stopped", terminal)
    lines = shown.splitlines()
    assert re.search(r"^fovea \S+ is ready; Ctrl-C ends it$", shown, re.MULTILINE)
    assert re.search(r"^  gRPC +127\.0\.0\.1:\d+$", shown, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d error: damaged version 1 is unavailable: ", shown, re.MULTILINE)
    assert re.search(r"^\d\d:\d\d:\d\d draining$", shown, re.MULTILINE)
    table = [line for line in lines if line.startswith("  ")]
    assert max(map(len, table)) <= COLUMNS
    assert "{" not in shown


def test_a_terminal_that_goes_away_ends_the_server_as_sigterm_does(repository: Path) -> None:
    with on_a_terminal(repository) as (server, terminal):
        read_until("kernels", terminal)
        server.send_signal(signal.SIGHUP)
        assert server.wait(60) == 0


def test_json_may_be_had_on_a_terminal_and_text_in_a_pipe(repository: Path) -> None:
    with on_a_terminal(repository, "--log-format=json", "--log-level=warning") as (_, terminal):
        shown = read_until("kernels ", terminal)
    *warnings, ready = shown.strip().splitlines()
    assert {json.loads(line)["level"] for line in warnings} <= {"warning", "error"}
    assert re.match(r"fovea \S+ ready: gRPC ", ready)
    with running_server(repository, "--log-format=text", "--ready-when=any") as server:
        assert server.terminate() == 0
    assert server.ready_line.endswith("is ready; Ctrl-C ends it\n")
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in server.errors)


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_long_facts_are_wrapped_below_their_beginning_and_names_stay_whole(columns: int) -> None:
    names = [f"model-{'x' * length}" for length in range(30)]
    _, first, *more = in_lines({"models": ", ".join(names)}, columns, ready=True).splitlines()
    assert first.startswith("  models  model-,")
    assert all(line.startswith(" " * 10 + "model-") for line in more)
    assert " ".join(line.strip() for line in (first, *more)) == "models  " + ", ".join(names)


def test_a_callers_text_neither_steers_the_terminal_nor_begins_a_line() -> None:
    text = "unknown model '\x1b[2J\r\nready\u202e'"
    line = TextLines().format(logging.LogRecord("x", logging.WARNING, "x.py", 1, text, None, None))
    assert line.endswith(r" warning: unknown model '\x1b[2J\r\nready\u202e'")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_a_server_whose_standard_files_are_closed_serves(tmp_path: Path, closed: str) -> None:
    (tmp_path / "models").mkdir()
    ports = ("--grpc-port=0", "--http-port=0", "--metrics-port=0", f"--unix-sockets={tmp_path}")
    command = [sys.executable, "-m", "fovea.cli", "serve", f"--repository={tmp_path / 'models'}", *ports]
    server = subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", *command])
    try:
        with Client(f"unix:{tmp_path / 'grpc.sock'}", timeout_s=5) as client:
            wait_until(lambda: server.poll() is not None or client.healthy())
        server.terminate()
        assert server.wait(30) == 0
    finally:
        server.kill()
