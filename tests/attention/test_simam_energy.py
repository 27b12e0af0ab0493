"""SimAM's closed forms minimise its energy: the paper's equations 3 and 4 against a least-squares solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fovea.attention.simam import SimAM

LAMBDA = 1e-4


def least_energy(target: float, others: np.ndarray, label: float) -> tuple[float, float, float]:
    """w, b and what is left of equation 2, the squares of a line that gives `label` to the target, -`label` to others:

    (label - (w t + b))² + the mean over the others of (-label - (w x + b))² + λ w².
    """
    share = 1 / np.sqrt(len(others))
    rows = [[target, 1.0], *([x * share, share] for x in others), [np.sqrt(LAMBDA), 0.0]]
    (w, b), (energy,), *_ = np.linalg.lstsq(np.array(rows), np.array([label, *[-label * share] * len(others), 0.0]))
    return w, b, energy


@pytest.mark.parametrize("label", [1.0, -1.0])
def test_equations_3_and_4_minimise_the_energy_of_equation_2(label: float) -> None:
    """The paper prints w with a minus: that is the line for labels the other way round, of the same energy."""
    plane = np.random.default_rng(5).normal(0.3, 2, 30)
    for place, t in enumerate(plane):
        others = np.delete(plane, place)
        mean, variance = others.mean(), others.var()
        w = label * 2 * (t - mean) / ((t - mean) ** 2 + 2 * variance + 2 * LAMBDA)
        b = -(t + mean) * w / 2
        np.testing.assert_allclose(least_energy(t, others, label)[:2], [w, b], rtol=1e-9)


def test_a_neuron_weighs_by_the_inverse_of_its_least_energy() -> None:
    """Energy depends on the others by mean and variance alone; the block takes those of the whole plane for all."""
    plane = np.random.default_rng(6).normal(-1, 3, (5, 6))
    spread = plane.std(ddof=1)
    alike = np.array([plane.mean() - spread, plane.mean() + spread])
    energy = np.array([[least_energy(t, alike, 1.0)[2] for t in row] for row in plane])
    _, weights = SimAM(LAMBDA)(torch.from_numpy(plane)[None, None], return_attention=True)
    np.testing.assert_allclose(weights[0, 0].numpy(), 1 / (1 + np.exp(-1 / energy)), rtol=1e-9)


@pytest.mark.parametrize(("squared", "right"), [("variance", True), ("mean", False)])
def test_equation_5_is_the_least_energy_with_the_variance_that_the_papers_code_has_not_the_mean_as_it_is_printed(
    squared: str, right: bool
) -> None:
    """e = 4 (s + λ) / ((t - mean)² + 2 s + 2 λ): s is the variance; a text prints the square of the mean."""
    plane = np.random.default_rng(7).normal(2, 1.5, 30)
    mean, variance = plane.mean(), plane.var()
    spread = variance if squared == "variance" else mean**2
    alike = np.array([mean - np.sqrt(variance), mean + np.sqrt(variance)])
    printed = 4 * (spread + LAMBDA) / ((plane - mean) ** 2 + 2 * spread + 2 * LAMBDA)
    least = np.array([least_energy(t, alike, 1.0)[2] for t in plane])
    assert np.allclose(printed, least, rtol=1e-9) == right
