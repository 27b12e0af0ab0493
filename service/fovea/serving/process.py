"""The process of `fovea serve`: from its start to its end, by signals."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from types import FrameType
from typing import TextIO

from fovea.runtime.temporary_folders import remove_left_behind
from fovea.serving.announcement import in_lines, in_one_line
from fovea.serving.observability.logs import LogFormat, PrintedLines, for_people, set_up_logs
from fovea.serving.server import Server
from fovea.serving.settings import Settings

log = logging.getLogger(__name__)
_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR = 0, 1, 2
_COLUMNS = 80
"""Where what is written to is no terminal."""
_LOADED = b"\0"
"""No signal has this number."""


def serve(settings: Settings, remarks: Iterable[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status. Misconfigured where it cannot start.

    SIGHUP has the files read again; on a terminal it tells that this has gone, and ends the server as SIGTERM does.
    `remarks` are warnings of what came before there was a log.
    """
    output = _prepared(settings, remarks)
    ending = {signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if os.isatty(_STANDARD_INPUT) else [])}
    going_on = {_LOADED, bytes([signal.SIGHUP])} - {bytes([number]) for number in ending}
    signals, wake = _signals(ending)
    server = Server(settings)
    _set_aside_what_stays()
    loaded = _begin(server.load)
    loaded.add_done_callback(lambda _: wake.send(_LOADED))
    try:
        while (told := signals.recv(1)) in going_on:
            if told == _LOADED:
                loaded.result()
                _announce(server, settings.log_format, output)
            else:
                server.read_again()
        log.info("draining")
    finally:
        clean = server.stop()
    log.info("stopped" if clean else "stopped; a run that did not end was left behind")
    if not clean:  # its thread would be cut down in the middle of native code, which aborts the process
        logging.shutdown()
        os._exit(0)
    return 0


def _set_aside_what_stays() -> None:
    """Have the garbage collector pass over what there is by now: modules, tables, the server's own parts.

    It would look at all of it again and again, 67,000 objects, which holds up every request for 30 ms. A model is 400
    more. They come later and stay under its eyes: one that is unloaded leaves cycles, and must leave no memory.
    """
    gc.collect()
    gc.freeze()


def _prepared(settings: Settings, remarks: Iterable[str]) -> TextIO:
    """Logs, temporary folders and descriptors as a server needs them; what the ready line goes to."""
    _open_what_is_closed()
    set_up_logs(settings.log_level, settings.log_format)
    output = _own_output()
    for remark in remarks:
        log.warning("%s", remark)
    if removed := remove_left_behind():
        log.info("removed %d temporary folders that killed servers had left behind", removed)
    _allow_many_connections()
    return output


def _open_what_is_closed() -> None:
    """Where standard input, output or error is closed, the next file or socket would get its number, and our logs."""
    for number in (_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _own_output() -> TextIO:
    """Standard output, for the ready line alone: what libraries print goes to the log, or straight beside it."""
    kept = os.dup(_STANDARD_OUTPUT)
    os.dup2(_STANDARD_ERROR, _STANDARD_OUTPUT)
    sys.stdout = PrintedLines()
    return os.fdopen(kept, "w")


def _announce(server: Server, chosen: LogFormat, output: TextIO) -> None:
    facts, ready = server.facts(), server.ready
    if for_people(chosen, output.fileno()):
        print(in_lines(facts, _columns(output), ready=ready), file=output, flush=True)
    else:
        print(in_one_line(facts, ready=ready), file=output, flush=True)


def _columns(output: TextIO) -> int:
    try:
        return os.get_terminal_size(output.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def _allow_many_connections() -> None:
    """Each connection takes a descriptor, and most systems begin with 1,024: take what may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _begin(work: Callable[[], None]) -> Future[None]:
    """Run on a thread that nobody has to wait for."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, daemon=True, name="start").start()
    return done


def _signals(ending: Collection[signal.Signals]) -> tuple[socket.socket, socket.socket]:
    """A socket that gets a byte for each of these and SIGHUP, and its other end; at a second one the process ends.

    The interpreter writes the byte in the signal handler itself. A lock or a queue, waited for here, could miss a
    signal that arrives between the interpreter's last look and the wait.
    """
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno())
    asked: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if asked:
            os._exit(1)
        asked.append(number)

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, lambda *_: None)
    for number in ending:
        signal.signal(number, end)
    return read, write
