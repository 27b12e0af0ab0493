"""The Open Inference Protocol over HTTP: the same requests, answers and error texts as over gRPC, in JSON."""
