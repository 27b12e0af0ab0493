"""What people have, as what a model takes: one way for training, export, client and server."""
