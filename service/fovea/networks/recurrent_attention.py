"""The recurrent attention model (Mnih et al. 2014, arXiv:1406.6247): a network that sees a picture by small glimpses.

At each step it looks at one place, sharply there and coarsely around it; what it has seen so far tells where it looks
next. Places are (x, y) in [-1, 1]: (0, 0) is the picture's centre, (-1, -1) its upper left corner. The first place is
the centre.
Differs from the paper: places are read between pixels, by linear interpolation; the state is normalised (layer norm);
and there is an answer after each glimpse, of which training makes its rewards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.draws import normal_noise

_LOOK_SCALE = 0.1
"""An optimiser moves the weights that say where to look as far in a step as any others, and then places leap about
before rewards can tell which were good. Unscaled, the places after an epoch were 0.6 from the digit; scaled, 0.4."""


@dataclass(frozen=True)
class Rollout:
    """What one way of looking at N pictures gave."""

    logits: Tensor
    """(N, glimpses, classes): the answer after each glimpse."""
    path: Tensor
    """(N, glimpses, 2): where each glimpse was."""
    means: Tensor
    """(N, glimpses - 1, 2): where the network would have looked without noise, from the second glimpse on."""
    baselines: Tensor
    """(N, glimpses - 1): the reward that was expected of each of those."""


class Retina(nn.Module):
    """Reads a patch at a place in several scales: (N, 1, H, W) and places (N, 2) -> (N, scales, size, size).

    Scale s covers a square of size · 2^s pixels, averaged to size x size; outside of the picture is nothing.
    """

    grid: Tensor

    def __init__(self, size: int, scales: int) -> None:
        super().__init__()
        self.size, self.scales = size, scales
        steps = (torch.arange(size) - (size - 1) / 2) * 2
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("grid", torch.stack([columns, rows], dim=-1), persistent=False)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """The picture at every scale; made once for all glimpses."""
        images = [image]
        while len(images) < self.scales:
            images.append(F.avg_pool2d(images[-1], 2))
        return images

    def forward(self, pyramid: list[Tensor], place: Tensor) -> Tensor:
        """One glimpse."""
        patches = [self._patch(image, place) for image in pyramid]
        return torch.cat(patches, dim=1)

    def _patch(self, image: Tensor, place: Tensor) -> Tensor:
        grid = self.grid.to(place.dtype) / image.shape[-1] + place[:, None, None, :]  # (N, size, size, 2)
        return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class RecurrentAttention(nn.Module):
    """Pictures (N, 1, side, side) and seeds (N) int64 -> logits (N, classes), and the path (N, glimpses, 2)."""

    deviation = 0.05
    """Of the noise that is added to where the network would look."""

    def __init__(
        self, classes: int = 10, *, glimpses: int = 4, size: int = 12, scales: int = 3, width: int = 256
    ) -> None:
        super().__init__()
        self.glimpses = glimpses
        self.retina = Retina(size, scales)
        self.what = nn.Sequential(nn.Linear(scales * size**2, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
        self.where = nn.Sequential(nn.Linear(2, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
        self.remember = nn.Linear(width, width)
        self.see = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.look = nn.Linear(width, 2)
        self.expect = nn.Linear(width, 1)
        self.classify = nn.Linear(width, classes)
        for layer in (*self.what, *self.where, self.see):
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.orthogonal_(self.remember.weight)

    def forward(self, image: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """A path that is drawn: the same seed gives the same one, whatever else is in the batch."""
        noise = normal_noise(seed, self.glimpses - 1, 2).to(image.dtype) * self.deviation
        rollout = self.rollout(image, noise)
        return rollout.logits[:, -1], rollout.path

    def rollout(self, image: Tensor, noise: Tensor) -> Rollout:
        """Look along a path; `noise` (N, glimpses - 1, 2) is added to where the network would look."""
        pyramid = self.retina.pyramid(image)
        state = image.new_zeros(image.shape[0], self.remember.in_features)
        place = image.new_zeros(image.shape[0], 2)
        states, path, means, baselines = [], [place], [], []
        for step in range(self.glimpses):
            if step:
                means.append(torch.tanh(_LOOK_SCALE * self.look(state)))
                baselines.append(self.expect(state.detach())[:, 0])
                place = (means[-1].detach() + noise[:, step - 1]).clamp(-1, 1)
                path.append(place)
            state = self._seen(state, pyramid, place)
            states.append(state)
        seen, *looked = (torch.stack(one, 1) for one in (states, path, means, baselines))
        return Rollout(self.classify(seen), *looked)

    def _seen(self, state: Tensor, pyramid: list[Tensor], place: Tensor) -> Tensor:
        glimpse = F.relu(self.what(self.retina(pyramid, place).flatten(1)) + self.where(place))
        return F.relu(self.norm(self.remember(state) + self.see(glimpse)))
