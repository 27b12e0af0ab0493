"""How gRPC's connections are kept: what a message, a header, a connection and a silent peer may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Compression = Literal["none", "gzip", "deflate"]

METADATA_MAX_BYTES = 16 * 1024
"""Of one call. gRPC refuses some above the lower of its two limits, and all above the higher: here they are one."""
_ALL = 2**31 - 1
_LEVELS: dict[Compression, int] = {"none": 0, "gzip": 1, "deflate": 3}
"""gRPC chooses by level among what the caller accepts; of these two, the low one is gzip and the high one deflate."""


@dataclass(frozen=True)
class Transport:
    """Limits of every connection; intervals in seconds, 0 = never."""

    max_message_bytes: int
    streams: int = 4096
    compression: Compression = "none"
    keepalive_s: float = 60.0
    keepalive_timeout_s: float = 20.0
    min_ping_s: float = 5.0

    def options(self) -> list[tuple[str, int]]:
        """The same in gRPC's words. Where nothing is compressed, no option makes each answer look whether it is."""
        options = [
            ("grpc.so_reuseport", 0),  # a second server on the same port is an error, not a coin toss per connection
            ("grpc.max_receive_message_length", self.max_message_bytes),  # counts what a compressed one unpacks to, too
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_metadata_size", METADATA_MAX_BYTES),
            ("grpc.absolute_max_metadata_size", METADATA_MAX_BYTES),
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.http2.min_ping_interval_without_data_ms", round(self.min_ping_s * 1e3)),
            ("grpc.keepalive_permit_without_calls", 1),
            # Of calls that nobody has taken in yet gRPC cancels some above 1,000, and tells them no reason.
            ("grpc.server.max_pending_requests", _ALL),
            ("grpc.server.max_pending_requests_hard_limit", _ALL),
        ]
        if self.keepalive_s:
            options += [
                ("grpc.keepalive_time_ms", round(self.keepalive_s * 1e3)),
                ("grpc.keepalive_timeout_ms", round(self.keepalive_timeout_s * 1e3)),
                # This one ends a connection that acknowledges nothing; alone it is a minute, whatever the other says.
                ("grpc.http2.ping_timeout_ms", round(self.keepalive_timeout_s * 1e3)),
            ]
        if level := _LEVELS[self.compression]:
            options.append(("grpc.default_compression_level", level))
        return options
