"""The recipe of a classifier of texts, whose encoder may have been pre-trained by predicting masked words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.contract.attention import AttentionType
from fovea.contract.input_steps import InputSteps
from fovea.contract.lengths import LengthSpec
from fovea.inputs.text_maker import TextMaker
from fovea.networks.text_encoder import EncoderSize, TextClassifier
from fovea.recipes.language.batches import Row, by_length, filled
from fovea.recipes.language.labelled_texts import Labelled, LabelledTexts
from fovea.recipes.language.masked_language import MaskedLanguage, Sentences
from fovea.recipes.language.subwords import PAD, SPECIAL, trained_tokenizer
from fovea.recipes.recipe import Recipe, Schedule, Trained
from fovea.recipes.subject import Subject

TOKENS, MASK, LOGITS = "tokens", "mask", "logits"
FILE = "tokenizer.json"
_PAD = SPECIAL.index(PAD)


@dataclass(frozen=True)
class TextClassification:
    """The network takes token ids, as the tokenizer makes them, and gives logits (N, labels)."""

    name: str
    size: EncoderSize
    labels: tuple[str, ...]
    schedule: Schedule
    load: Callable[[], LabelledTexts]
    seed: int = 0
    _rows: dict[str, Row] = field(default_factory=dict, repr=False, compare=False)
    """Text -> its row, once it was made."""

    def data(self) -> LabelledTexts:
        """The texts and their labels."""
        return self.load()

    def network(self) -> nn.Module:
        """The network, as random numbers make it."""
        return TextClassifier(self.size, len(self.labels))

    def loss(self, module: nn.Module, data: LabelledTexts, chosen: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Cross entropy of the chosen texts."""
        texts, total = [data.train[place] for place in chosen.tolist()], torch.zeros(())
        for logits, labels in self._answered(module, texts):
            smoothing = self.schedule.label_smoothing
            total = total + F.cross_entropy(logits.float(), labels, reduction="sum", label_smoothing=smoothing)
        return total / len(texts)

    def evaluation(self, module: nn.Module, data: LabelledTexts) -> Mapping[str, float]:
        """The share of the test texts whose largest logit is their label."""
        with torch.no_grad():
            right = sum(int((logits.argmax(1) == labels).sum()) for logits, labels in self._answered(module, data.test))
        return {"accuracy": right / len(data.test)}

    def subject(self, trained: Trained, data: LabelledTexts) -> Subject:
        """The network with the first test texts as its rows."""
        return Subject(
            name=self.name,
            module=trained.module,
            rows=partial(self._test_rows, data.test),
            output_names=(LOGITS,),
            attention=AttentionType.MULTI_HEAD,
            labels=self.labels,
            input_steps={TOKENS: self.steps},
            files={FILE: self.tokenizer},
            metrics=trained.metrics,
            training=trained.training,
            lengths={"text": LengthSpec(inputs={TOKENS: 1}, mask=MASK, longest=self.size.longest)},
        )

    def facts(self) -> Mapping[str, Any]:
        """Size, steps, labels and tokenizer."""
        steps = self.steps.model_dump(mode="json")
        tokenizer = sha256(self.tokenizer.encode()).hexdigest()
        return {"size": asdict(self.size), "steps": steps, "labels": self.labels, "tokenizer": tokenizer}

    @property
    def steps(self) -> InputSteps:
        """What makes token ids of a text."""
        tokenizer = {"step": "tokenizer", "file": FILE, "pad": PAD, "most_tokens": self.size.longest}
        return InputSteps.model_validate([{"step": "text"}, tokenizer])

    @cached_property
    def tokenizer(self) -> str:
        """Its file, out of the training texts."""
        return trained_tokenizer([text for text, _ in self.load().train], self.size.vocabulary)

    @cached_property
    def _maker(self) -> TextMaker:
        """The server's own, but that it takes texts of any length."""
        first, tokenizer = self.steps.root
        unlimited = InputSteps((first, tokenizer.model_copy(update={"most_tokens": None})))
        return TextMaker(unlimited, lambda _: self.tokenizer)

    def row(self, text: str) -> Row:
        """A text's ids. Where it is too long it is cut: while training and measuring that misleads no caller."""
        if text not in self._rows:
            self._rows[text] = self._maker.row(text.encode())[: self.size.longest]
        return self._rows[text]

    def _answered(self, module: nn.Module, texts: Labelled) -> list[tuple[Tensor, Tensor]]:
        """Logits and labels, part by part."""
        rows, parts = [self.row(text) for text, _ in texts], []
        for places in by_length(rows):
            tokens, mask = filled([rows[place] for place in places], _PAD)
            parts.append((module(tokens, mask), torch.tensor([texts[place][1] for place in places])))
        return parts

    def _test_rows(self, texts: Labelled, rows: int) -> dict[str, NDArray[Any]]:
        chosen = [texts[place % len(texts)][0] for place in range(rows)]
        tokens, mask = filled([self.row(text) for text in chosen], _PAD)
        return {TOKENS: tokens.numpy(), MASK: mask.numpy()}


_CUT = 32
"""Tokens of a sentence that pre-training reads: most are shorter."""


@dataclass(frozen=True)
class PretrainedTextClassification(TextClassification):
    """The same, after its encoder has predicted masked words of the training texts and of others."""

    pretraining: Schedule = field(kw_only=True)
    further_texts: Callable[[], Sequence[str]] = field(kw_only=True)
    others: Mapping[str, Recipe[LabelledTexts]] = field(default_factory=dict)
    """What it is compared with."""

    @property
    def start(self) -> MaskedLanguage:
        """Its pre-training, which sees no label."""
        name = f"{self.name}-filling"
        return MaskedLanguage(name, self.size, len(self.labels), self.pretraining, self._sentences, _CUT, self.seed)

    def _sentences(self) -> Sentences:
        texts = self.load()
        read = [self.row(text) for text, _ in texts.train]
        read += [self.row(text) for text in self.further_texts()]
        held_out, draw = max(1, len(read) // 100), torch.Generator().manual_seed(self.seed)
        mixed = [read[place] for place in torch.randperm(len(read), generator=draw).tolist()]
        return Sentences(f"{texts.name} and further texts", train=mixed[held_out:], test=mixed[:held_out])
