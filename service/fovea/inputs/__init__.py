"""Pictures and texts become tensors, classes get their labels: one way for training, export, client and server."""
