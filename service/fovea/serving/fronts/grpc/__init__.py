"""The gRPC front: the server, its fast lane, streams, limits of connections."""
