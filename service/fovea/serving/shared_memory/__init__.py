"""Tensors in shared memory: regions, and who may have which."""
