"""The server: bytes to arrays to batches to arrays to bytes.

gRPC reads its settings when it is first imported, so they are made here, before any part of the server imports it.
"""

import os

# Without gRPC's event-engine listener the server answers half as much again.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # a port that is taken is told by our own error, once
