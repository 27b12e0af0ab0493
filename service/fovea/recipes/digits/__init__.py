"""Digits somewhere in a large picture, found by glimpses: the recurrent attention model, on MNIST."""
