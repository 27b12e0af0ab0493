"""What the connections of an HTTP server have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fovea.serving.fronts.rest.bodies import Bodies
from fovea.serving.fronts.rest.exchange import Exchange
from fovea.serving.fronts.rest.handover import Handover
from fovea.serving.fronts.rest.http_status import StatusTable
from fovea.serving.fronts.rest.limits import RestLimits

_READ_BYTES = 64 * 1024


@dataclass(eq=False)
class Shared:
    """For the loop's thread."""

    loop: asyncio.AbstractEventLoop
    limits: RestLimits
    begin: Callable[[Exchange], None]
    """Is given each request once its head is here and it is its turn, to accept or to refuse it."""
    statuses: StatusTable
    handover: Handover
    bodies: Bodies
    connections: set[Any] = field(default_factory=set)
    """The open ones."""
    is_ending: bool = False
    """Each connection ends with the answer that it is at."""
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ_BYTES)))
    """All read into the same: what one has read is parsed before another reads."""
