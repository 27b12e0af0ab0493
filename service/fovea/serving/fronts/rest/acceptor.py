"""Takes callers in, also where the process may open no more files: those that come then wait."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from fovea.serving.fronts.rest.limits import Patience
from fovea.serving.security.tls import Tls

log = logging.getLogger(__name__)
_TRY_AGAIN_S = 0.1


class Acceptor:
    """Takes callers in on one socket. uvloop's own server ends callers without a word where files run out."""

    def __init__(
        self,
        listener: socket.socket,
        connection: Callable[[], asyncio.BaseProtocol],
        tls: Tls | None,
        patience: Patience,
    ) -> None:
        """To be made on the loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._listener, self._connection, self._tls, self._patience = listener, connection, tls, patience
        self._greetings: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Close the listener and end the handshakes that are under way."""
        self._loop.remove_reader(self._listener)
        if self._again is not None:
            self._again.cancel()
        for greeting in self._greetings:
            greeting.cancel()
        self._listener.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            caller, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("no HTTP caller can be taken in: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._again = self._loop.call_later(_TRY_AGAIN_S, self._listen)
            return
        caller.setblocking(False)
        greeting = self._loop.create_task(self._greet(caller))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)

    async def _greet(self, caller: socket.socket) -> None:
        """Make a connection of it, after TLS's handshake."""
        with suppress(OSError, TimeoutError):  # it is gone, speaks no TLS, or takes too long
            await self._loop.connect_accepted_socket(
                self._connection,
                caller,
                ssl=self._tls.now().context if self._tls else None,
                ssl_handshake_timeout=self._patience.handshake_s if self._tls else None,
                ssl_shutdown_timeout=self._patience.linger_s if self._tls else None,
            )
