"""MiniLM says what the published model says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fovea.recipes.language import minilm
from fovea.recipes.subject import Subject

PUBLISHED = {
    "A man is eating food.": [0.0332416, 0.004406, -0.006277, 0.0483787, -0.1387022],
    "": [-0.1188383, 0.0482987, -0.0025481, -0.0110112, 0.0519508],
    "x " * 200: [0.0002538, -0.0322402, -0.0237199, -0.0421063, -0.0981175],
    "Ångström café 漢字 👍": [0.0354863, 0.0287174, -0.0028451, 0.0576116, 0.0155998],
    "How are you?": [0.0070039, 0.0109141, 0.0874625, 0.0867994, 0.0266485],
}
"""Text -> the first five numbers of its vector, by `transformers` with the published weights and the tokenizer's own
padding, the mean of the last layer's open tokens divided by its length."""


@pytest.fixture(scope="module")
def subject() -> Subject:
    return minilm.subject()


def test_texts_of_all_lengths_in_one_batch_get_the_published_vectors(subject: Subject) -> None:
    maker = minilm.maker(subject.files[minilm.FILE])
    with torch.no_grad():
        vectors = subject.module(*(torch.from_numpy(array) for array in minilm.rows(maker, list(PUBLISHED)).values()))
    np.testing.assert_allclose(vectors[:, :5], list(PUBLISHED.values()), rtol=0, atol=1e-6)
    np.testing.assert_allclose(vectors.norm(dim=1), 1, rtol=1e-6)


def test_weights_of_another_network_are_refused(subject: Subject) -> None:
    with pytest.raises(KeyError, match="position_embeddings"):
        minilm.network(subject.module.state_dict())
