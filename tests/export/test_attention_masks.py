"""The masks that people have load and are right: in a module of torch's own attention and in Fovea's, on every path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.multi_head import MultiHeadAttention
from fovea.export.exporter import export_graph
from fovea.runtime.ort_session import SessionSettings, open_session
from kernel_builds import own_library

HEADS, WIDTH = 2, 8
LENGTH_AXES = {"x": {1: "T"}, "padding": {1: "T"}}


class Masked(nn.Module):
    """Attention under masks of several forms, made of which tokens there are, (B, T); the answers side by side."""

    def __init__(self, *, boolean: bool) -> None:
        super().__init__()
        self._boolean = boolean
        self.attention = MultiHeadAttention(WIDTH, HEADS)

    def masks(self, padding: Tensor) -> list[Tensor]:
        """(B, 1, 1, T), (B, H, 1, T), (1, 1, T, T)."""
        rows, tokens = padding.shape
        of_keys = padding[:, None, None]
        causal = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None]
        masks = [of_keys, of_keys.expand(rows, HEADS, 1, tokens), causal]
        return masks if self._boolean else [torch.where(mask, 0.25, -torch.inf) for mask in masks]

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """By Fovea's operator."""
        y: Tensor = self.attention(x, mask)
        return y

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return torch.cat([self.attend(x, mask) for mask in self.masks(padding)], dim=-1)


class MaskedByTorch(Masked):
    """The same in torch's own words."""

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.attention.split_heads(self.attention.project_in(x))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.attention.project_out(y.transpose(1, 2).flatten(2))
        return projected


@pytest.mark.parametrize("made", [Masked, MaskedByTorch])
@pytest.mark.parametrize("boolean", [True, False])
def test_masks_of_every_form_are_right_with_kernels_and_without(
    made: type[Masked], boolean: bool, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    module = made(boolean=boolean).eval()
    example = {"x": torch.zeros(2, 5, WIDTH), "padding": torch.ones(2, 5, dtype=torch.bool)}
    onnx.save(export_graph(module, example, ["y"], LENGTH_AXES).model, tmp_path / "model.onnx")
    padding = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]], np.bool_)
    x = np.random.default_rng(0).standard_normal((3, 6, WIDTH), dtype=np.float32)
    right = module(torch.tensor(x), torch.tensor(padding)).detach().numpy()
    for library in (None, own_library()):
        session = open_session(tmp_path / "model.onnx", SessionSettings(kernel_library=library))
        np.testing.assert_allclose(session.run(None, {"x": x, "padding": padding})[0], right, rtol=0, atol=1e-5)
