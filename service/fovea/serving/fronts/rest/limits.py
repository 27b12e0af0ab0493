"""What an HTTP caller may take: memory, connections and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from fovea.serving.fronts.rest.refusal import Refusal


@dataclass(frozen=True)
class Patience:
    """How long a caller may keep a connection waiting, in seconds."""

    handshake_s: float = 10.0
    """For the TLS handshake of a new connection, which is counted among the connections only once it is done."""
    head_s: float = 10.0
    """For a request's line and headers, from the first byte; and for the first byte of a new connection."""
    body_s: float = 60.0
    """For a request's body."""
    unread_s: float = 60.0
    """For an answer that is not read."""
    idle_s: float = 75.0
    """Between requests: longer than balancers keep idle connections, so that they and not we close them."""
    linger_s: float = 2.0
    """For a refused caller to read why: closed at once, what it still sends would make the network drop the answer."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How large one body may be, and what the refusal of a larger one says."""

    what: str
    bytes: int
    flag: str
    hint: str = ""

    def exceeded(self) -> Refusal:
        """The refusal of a body that is larger."""
        text = f"{self.what} is larger than {self.bytes} bytes ({self.flag}){self.hint}"
        return Refusal(413, text, closes=True)  # what is left of it would be taken for the next request


@dataclass(frozen=True)
class RestLimits:
    """What callers may take: memory, connections and time."""

    body_bytes: int
    all_bodies_bytes: int
    json_bytes: int
    """Most bytes of a request's JSON, and of the JSON of each output."""
    connections: int
    patience: Patience = field(default_factory=Patience)

    @cached_property
    def body(self) -> Bound:
        """The bound of a body, both as it comes and unpacked."""
        return Bound("the body", self.body_bytes, "--max-message-mb")

    @cached_property
    def json(self) -> Bound:
        """The bound of a request's JSON."""
        hint = "; send tensors as binary data"
        return Bound("the JSON", min(self.json_bytes, self.body_bytes), "--max-json-mb", hint)
