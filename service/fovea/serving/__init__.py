"""The server: bytes to arrays to batches to arrays to bytes."""
