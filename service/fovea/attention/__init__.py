"""Attention, one mechanism per file: its formula, which is an operator of `torch.ops.fovea`, and its torch module."""
