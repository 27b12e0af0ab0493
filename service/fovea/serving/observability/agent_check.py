"""Answers HAProxy's agent checks: each connection gets one line, and is closed."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from fovea.serving.addresses import listeners

log = logging.getLogger(__name__)

_PAUSE_S = 0.005
"""After each connection, so that a flood of them takes a hundredth of a core: 200 a second are a hundred balancers."""
_MOST_READ = 256
"""Of what a balancer sends, nothing of which is looked at: unread, it would make the end of the connection a reset."""


class AgentCheck:
    """Answers with what `word` tells, as soon as it is made. OSError where the port is taken.

    A line goes into an empty buffer of the kernel's, and the connection is closed at once: nobody is waited for, so
    who connects and says nothing, or never reads, holds nothing up.
    """

    def __init__(self, host: str, port: int, word: Callable[[], str]) -> None:
        self._word = word
        self._stopped = False
        self._sockets = listeners(host, port)
        self.port = int(self._sockets[0].getsockname()[1])
        self._threads = [
            threading.Thread(target=self._answer_all, args=(one,), daemon=True, name="agent") for one in self._sockets
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._stopped = True
        for one in self._sockets:
            one.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _answer_all(self, listener: socket.socket) -> None:
        while not self._stopped:
            with suppress(OSError):  # who asked is gone, or there is no descriptor left: the next one asks again
                connection, _ = listener.accept()
                self._answer(connection)
            time.sleep(_PAUSE_S)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            connection.sendall(f"{self._word()}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            with suppress(BlockingIOError):
                connection.recv(_MOST_READ)
