"""The recurrent attention model: what a glimpse sees, where it looks, and draws that can be repeated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fovea.networks.recurrent_attention import RecurrentAttention, Retina
from fovea.recipes.digits.glimpsing import hybrid_loss, rewards

SIDE = 60


def pixel(column: int, row: int) -> Tensor:
    image = torch.zeros(1, 1, SIDE, SIDE)
    image[0, 0, row, column] = 1
    return image


def place(column: float, row: float) -> Tensor:
    """Where the middle of the pixel is, in [-1, 1]."""
    return (torch.tensor([[column, row]]) + 0.5) / SIDE * 2 - 1


def seen(image: Tensor, at: Tensor) -> Tensor:
    retina = Retina(4, 3)
    glimpse: Tensor = retina(retina.pyramid(image), at)
    return glimpse[0]


def test_a_glimpse_shows_the_pixels_around_its_place() -> None:
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    glimpse = seen(image, place(19.5, 29.5))
    torch.testing.assert_close(glimpse[0], image[0, 0, 28:32, 18:22])


def test_coarser_scales_show_the_means_of_larger_squares_around_it() -> None:
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    glimpse = seen(image, place(19.5, 31.5))
    means = image[0, 0, 24:40, 12:28].reshape(4, 4, 4, 4).mean((1, 3))
    torch.testing.assert_close(glimpse[2], means)


def test_outside_of_the_picture_is_nothing() -> None:
    glimpse = seen(torch.ones(1, 1, SIDE, SIDE), torch.tensor([[-1.0, -1.0]]))
    assert glimpse[0].round(decimals=3).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_places_are_columns_and_rows_from_the_upper_left() -> None:
    torch.testing.assert_close(seen(pixel(50, 5), place(50.5, 5.5))[0].sum(), torch.tensor(1.0))
    assert seen(pixel(50, 5), place(5.5, 50.5))[0].sum() == 0


def network() -> RecurrentAttention:
    torch.manual_seed(0)
    return RecurrentAttention(glimpses=4, width=32).eval()


def test_a_path_begins_in_the_centre_and_stays_within_the_picture() -> None:
    model = network()
    nn.init.constant_(model.look.bias, 90.0)  # it wants to the corner, and noise would drive it beyond
    _, path = model(torch.rand(5, 1, SIDE, SIDE), torch.arange(5))
    assert path.shape == (5, 4, 2)
    assert not path[:, 0].any()
    assert path.abs().max() <= 1


def test_a_seed_draws_the_same_path_alone_and_among_others_and_another_seed_another_one() -> None:
    image, seeds = torch.rand(1, 1, SIDE, SIDE), torch.tensor([7, -3, 7])
    _, path = network()(image.expand(3, -1, -1, -1), seeds)
    _, alone = network()(image, seeds[:1])
    torch.testing.assert_close(path[2:], alone)
    torch.testing.assert_close(path[:1], alone)
    assert not torch.allclose(path[0, 1:], path[1, 1:])


def test_the_steps_of_a_path_deviate_as_the_network_says() -> None:
    model = network()
    image, seeds = torch.rand(1, 1, SIDE, SIDE).expand(2000, -1, -1, -1), torch.arange(2000)
    _, path = model(image, seeds)
    assert abs(float(path[:, 1].std(0).mean()) / model.deviation - 1) < 0.05


def test_a_place_is_rewarded_by_what_it_adds_to_the_right_answer_and_half_of_what_later_ones_add() -> None:
    right = torch.tensor([[0.1, 0.3, 0.7, 0.5], [0.5, 0.5, 0.5, 0.9]])
    expected = [[0.2 + 0.4 / 2 - 0.2 / 4, 0.4 - 0.2 / 2, -0.2], [0.4 / 4, 0.4 / 2, 0.4]]
    torch.testing.assert_close(rewards(right), torch.tensor(expected))


def test_reward_moves_places_towards_those_that_helped_and_answers_move_no_place() -> None:
    model = network().train()
    labels = torch.arange(8) % 10
    noise = torch.randn(8, 3, 2) * model.deviation
    rollout = model.rollout(torch.rand(8, 1, SIDE, SIDE), noise)
    rollout.means.retain_grad()
    hybrid_loss(rollout, labels, noise / model.deviation**2).backward()
    assert rollout.means.grad is not None
    right = rollout.logits.softmax(-1)[torch.arange(8), :, labels]
    helped = rewards(right.detach()) > rollout.baselines
    towards = -torch.sign(rollout.means.grad) == torch.sign(noise)
    assert torch.equal(towards, helped[..., None].expand_as(towards))
    assert all(parameter.grad is not None for parameter in model.parameters())
