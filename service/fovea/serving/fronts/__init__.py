"""Where requests come in: bytes to requests, events to bytes."""
