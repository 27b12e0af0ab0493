"""Attention as torch modules, one mechanism per file; every `forward` calls one operator of `torch.ops.fovea`."""
