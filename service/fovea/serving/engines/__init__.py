"""What answers the requests of a model version: an engine each. Nothing here knows a protocol."""
