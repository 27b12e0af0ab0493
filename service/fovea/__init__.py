"""Fovea: models with attention in them, from PyTorch to production."""

__version__ = "0.1.0"
