"""The memory networks: sentences as vectors, hops, sharing of weights, and what padding changes (nothing)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fovea.networks.key_value_memory import KeyValueMemoryNetwork
from fovea.networks.memory_network import MemoryNetwork, Sharing
from fovea.networks.sentences import SentenceEmbedding

WORDS = 20
ANSWERS = torch.tensor([[3, 0], [4, 5], [6, 0]])


def memory(sharing: Sharing) -> nn.Module:
    return MemoryNetwork(WORDS, ANSWERS, hops=2, width=8, sharing=sharing)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "adjacent": lambda: memory("adjacent"),
    "layer_wise": lambda: memory("layer_wise"),
    "key_value": lambda: KeyValueMemoryNetwork(WORDS, ANSWERS, hops=2, width=8),
}
every_network = pytest.mark.parametrize("kind", NETWORKS)


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[kind]().double().eval()


def tokens(*shape: int) -> Tensor:
    return torch.randint(1, WORDS, shape, generator=torch.Generator().manual_seed(len(shape)))


def inputs(kind: str) -> list[Tensor]:
    """Of three rows with five facts."""
    facts = [tokens(3, 5, 4), tokens(3, 5, 2)] if kind == "key_value" else [tokens(3, 5, 4)]
    return [*facts, tokens(3, 6)]


def test_a_sentence_is_the_sum_of_its_words_weighed_by_position_encoding() -> None:
    embed = SentenceEmbedding(WORDS, 4).double()
    sentence = [3, 7, 5]
    expected = torch.zeros(4, dtype=torch.float64)
    for j, word in enumerate(sentence, start=1):
        for k in range(1, 5):
            weight = (1 - j / 3) - (k / 4) * (1 - 2 * j / 3)
            expected[k - 1] += weight * embed.weight[word, k - 1]
    torch.testing.assert_close(embed(torch.tensor(sentence)), expected)
    torch.testing.assert_close(embed(torch.tensor([*sentence, 0, 0])), expected)


def test_the_order_of_words_counts_and_in_a_bag_of_words_it_does_not() -> None:
    there, back = torch.tensor([3, 7, 5]), torch.tensor([5, 7, 3])
    ordered, bag = SentenceEmbedding(WORDS, 4), SentenceEmbedding(WORDS, 4, positions=False)
    assert not torch.allclose(ordered(there), ordered(back))
    torch.testing.assert_close(bag(there), bag(back))


@every_network
def test_padding_facts_and_words_changes_no_answer(kind: str) -> None:
    network, rows = made(kind), inputs(kind)
    *facts, question = rows
    longer = [nn.functional.pad(one, (0, 3, 0, 2)) for one in facts]
    torch.testing.assert_close(network(*longer, nn.functional.pad(question, (0, 4))), network(*rows))


@every_network
def test_the_order_of_facts_changes_no_answer(kind: str) -> None:
    network = made(kind)
    *facts, question = inputs(kind)
    torch.testing.assert_close(network(*(one.flip(1) for one in facts), question), network(*facts, question))


@every_network
def test_a_row_is_answered_alone_as_among_others_and_without_facts_too(kind: str) -> None:
    network, rows = made(kind), inputs(kind)
    torch.testing.assert_close(network(*rows)[1:2], network(*(one[1:2] for one in rows)))
    *facts, question = rows
    assert network(*(torch.zeros_like(one) for one in facts), question).isfinite().all()


@every_network
def test_every_parameter_learns(kind: str) -> None:
    network = made(kind)
    nn.functional.cross_entropy(network(*inputs(kind)), torch.tensor([0, 1, 2])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_one_hop_is_what_the_paper_says() -> None:
    torch.manual_seed(0)
    network = MemoryNetwork(WORDS, ANSWERS, hops=1, width=8).double()
    facts, question = inputs("adjacent")
    a, c = network.embed
    u = a(question)  # B is A
    p = torch.softmax((a(facts) @ u[:, :, None])[..., 0], dim=-1)
    o = (p[..., None] * c(facts)).sum(1)
    torch.testing.assert_close(network(facts, question), (u + o) @ c(ANSWERS).T)  # W is C


def test_shared_adjacently_each_hop_has_a_matrix_more_and_layer_wise_none() -> None:
    sizes = {
        sharing: [len(MemoryNetwork(WORDS, ANSWERS, hops=hops, sharing=sharing).embed) for hops in (1, 2, 3)]
        for sharing in ("adjacent", "layer_wise")
    }
    assert sizes == {"adjacent": [2, 3, 4], "layer_wise": [4, 4, 4]}


def test_values_are_read_where_keys_are_found() -> None:
    torch.manual_seed(0)
    network = KeyValueMemoryNetwork(WORDS, ANSWERS, hops=1, width=8).double()
    keys, values, question = inputs("key_value")
    q = network.embed(question)
    p = torch.softmax((network.embed(keys) @ q[:, :, None])[..., 0], dim=-1)
    o = (p[..., None] * network.embed_value(values)).sum(1)
    expected = network.updates[0](q + o) @ network.embed_answer(ANSWERS).T
    torch.testing.assert_close(network(keys, values, question), expected)
