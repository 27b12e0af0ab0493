"""How a traced request came: the caller's own trace (W3C Trace Context), and what a span is to say of the call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fovea.contract.errors import FoveaError

PARENT, STATE = "traceparent", "tracestate"
"""Headers, or keys of gRPC's metadata."""
_IDS = "(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})"
_PARENT = re.compile(f"00-{_IDS}|(?!00|ff)[0-9a-f]{{2}}-{_IDS}(?:-.*)?")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceOrigin:
    """What a front knows of a call."""

    name: str
    """Of its span: what was called."""
    facts: Mapping[str, str]
    """Attributes of its span, under OpenTelemetry's names."""
    status: Callable[[FoveaError | None], Mapping[str, str | int]]
    """From the error that ended it, if any, to more of them."""
    parent: str = ""
    """Its `traceparent`; "" where it has none."""
    state: str = ""
    """Its `tracestate`."""

    @property
    def sampled(self) -> bool | None:
        """Whether the caller traces it; None where she says nothing that can be read."""
        found = _PARENT.fullmatch(self.parent)
        return None if found is None else bool(int(found[1] or found[2], 16) & _SAMPLED)
