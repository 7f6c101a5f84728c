"""The one-pass scorer: everything that the signals need of a model, from one pass per batch.

Causal attention lets one pass yield the answer's losses, the prompt's embedding and, in branches
that don't see one another, ratings and the losses of the answer alone and of the prompt after the
answer. A model that takes the mask for this wrongly is found by a self-test, and each path is then
a row of its own: slower, the same numbers.
"""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ..core.measures import Ask, Item, Measured
from .exchange import Exchange, Part, build_exchange
from .layout import batches, fused, separate
from .network import Network
from .questions import Questions
from .reading import Floats, Reading, read
from .selftest import takes_fused_rows
from .sources import load_tokenizer
from .tokens import Tokens, Unscored

PASS_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Padded tokens per pass: a CPU gains nothing from more, and short batches hold less padding."""
LOSS_DIGITS = 4
EMBEDDING_DIGITS = 6

_log = logging.getLogger(__name__)


class Scorer:
    """One model that measures conversations.

    Attributes:
        tokens: the encoder, the same as in training.
    """

    def __init__(
        self,
        folder: Path,
        *,
        adapter: Path | None = None,
        dtype: str = "float32",
        device: str = "cpu",
        template: Literal["auto", "plain"] = "auto",
        max_length: int = 1024,
    ) -> None:
        """Load the model.

        Args:
            folder: a model folder; a fully fine-tuned model is one too.
            adapter: a LoRA adapter's folder, merged into the weights.
            dtype: `float32` or `bfloat16`; losses of two precisions can't be compared.
            device: `cpu` or `cuda`.
            template: the configuration's `model.template`.
            max_length: longer conversations are unscored.

        Raises:
            ModelError: model, adapter or tokenizer can't be used.
        """
        self.tokens = Tokens(load_tokenizer(folder), template, max_length)
        self._network = Network(folder, adapter, dtype, device)
        self._pass_tokens = PASS_TOKENS[device.partition(":")[0]]

    @property
    def template_name(self) -> str:
        """`tokenizer` or `plain`."""
        return self.tokens.template_name

    @cached_property
    def fused(self) -> bool:
        """Whether fused passes give this model's true numbers; tested on first use."""
        longest = min(self.tokens.max_length, self._network.context)
        return takes_fused_rows(self._network, longest)

    def plan(
        self,
        items: Sequence[Item],
        asks: frozenset[Ask] = frozenset(),
        budget_tokens: int | None = None,
    ) -> list[list[int]]:
        """Return batches of indices, longest first, equal lengths by key.

        The padded size of a batch keeps within `budget_tokens` (by default what suits the device);
        a longer item is a batch alone.
        Items that can't be encoded are planned too, and come back from `score` unscored.
        """
        lengths = [max(length, 1) for length in self.count_tokens(items, asks)]
        order = sorted(range(len(items)), key=lambda i: (-lengths[i], items[i].key))
        return batches(lengths, order, budget_tokens or self._pass_tokens)

    def count_tokens(self, items: Sequence[Item], asks: frozenset[Ask] = frozenset()) -> list[int]:
        """Return the tokens that a fused pass computes per item; 0 where it can't be encoded."""
        exchanges = [self._exchange(item, asks) for item in items]
        return [e.length if isinstance(e, Exchange) else 0 for e in exchanges]

    def score(self, items: Sequence[Item], asks: frozenset[Ask] = frozenset()) -> list[Measured]:
        """Measure one batch, in order.

        Losses and ratings are rounded to 4 decimals, embeddings to 6, so that the last bits of a
        batch's arithmetic decide nothing. Where the template can't ask the rating questions,
        `ratings` is None though asked for. A batch that does not fit into the GPU's memory is
        split.
        """
        built = [self._exchange(item, asks) for item in items]
        exchanges = [exchange for exchange in built if isinstance(exchange, Exchange)]
        measured = iter(self._measure(exchanges))
        return [
            next(measured) if isinstance(result, Exchange) else Measured(unscored=result.reason)
            for result in built
        ]

    def close(self) -> None:
        """Free the model's memory."""
        self._network.close()

    @cached_property
    def _questions(self) -> Questions | None:
        try:
            return Questions(self.tokens)
        except Unscored as refusal:
            _log.warning("no ratings: %s", refusal.reason)
            return None

    def _exchange(self, item: Item, asks: frozenset[Ask]) -> Exchange | Unscored:
        questions = self._questions if "ratings" in asks else None
        try:
            return build_exchange(
                self.tokens, item, asks, questions=questions, context=self._network.context
            )
        except Unscored as refusal:
            return refusal

    def _measure(self, exchanges: list[Exchange]) -> list[Measured]:
        if not exchanges:
            return []
        branched = any(len(exchange.segments) > 1 for exchange in exchanges)
        questions = self._questions if any(exchange.ratings for exchange in exchanges) else None
        try:
            readings = read(
                self._network,
                exchanges,
                fused if branched and self.fused else separate,
                rating_ids=questions.ids if questions else [],
                budget=self._pass_tokens,
            )
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            if len(exchanges) == 1:
                return [Measured(unscored="out_of_memory")]
            half = len(exchanges) // 2
            return [*self._measure(exchanges[:half]), *self._measure(exchanges[half:])]
        values = questions.values if questions else []
        return [
            summarise(exchange, reading, values)
            for exchange, reading in zip(exchanges, readings, strict=True)
        ]


def summarise(exchange: Exchange, reading: Reading, values: Sequence[int]) -> Measured:
    """Turn token losses and rating probabilities into the signals of one conversation.

    Args:
        exchange: what was computed.
        reading: what the model said.
        values: the rating that each rating token stands for.
    """
    if not reading.is_finite:
        return Measured(unscored="not_finite")
    answer = reading.losses["answer"]
    ratings, mass = _ratings(reading.ratings, np.asarray(values, dtype=np.float64))
    first, last = exchange.prompt_span
    return Measured(
        answer_tokens=exchange.answer_tokens,
        prompt_tokens=last - first,
        loss=_rounded(answer.mean()),
        end=_mean(reading, "end"),
        late=_late(answer),
        alone=_mean(reading, "alone"),
        prompt=_mean(reading, "prompt", empty=0.0),
        reverse=_mean(reading, "reverse", empty=0.0),
        ratings=ratings,
        rating_mass=mass,
        embedding=_embedding(reading.embedding),
    )


def _rounded(value: float) -> float:
    return round(float(value), LOSS_DIGITS)


def _mean(reading: Reading, part: Part, empty: float | None = None) -> float | None:
    """Return a part's mean loss; None where it was not asked for, `empty` where no token counts.

    A prompt that the answer repeats word for word leaves no token: both means are then 0, so that
    recoverability is 0 and the echo gains nothing.
    """
    losses = reading.losses.get(part)
    if losses is None:
        return None
    return _rounded(losses.mean()) if len(losses) else empty


def _late(losses: Floats) -> float | None:
    """Return the second half's mean minus the first's; None for a single token."""
    if len(losses) < 2:
        return None
    half = len(losses) // 2
    return _rounded(losses[half:].mean() - losses[:half].mean())


def _ratings(logs: Floats | None, values: Floats) -> tuple[tuple[float, ...] | None, float | None]:
    """Return the expected ratings, and the probability that the next token is a rating at all."""
    if logs is None:
        return None, None
    # Relative to the largest, as the probabilities themselves can be too small for a float.
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    expected = weights @ values / weights.sum(axis=1)
    mass = np.exp(logs).sum(axis=1).mean()
    return tuple(_rounded(rating) for rating in expected), _rounded(mass)


def _embedding(vector: Floats | None) -> tuple[float, ...] | None:
    if vector is None:
        return None
    return tuple(round(float(value), EMBEDDING_DIGITS) for value in vector)
