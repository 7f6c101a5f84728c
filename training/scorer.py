"""The one-pass scorer: everything that the signals need of a model, from one pass per batch.

Causal attention lets one pass yield the answer's losses, the prompt's embedding and, in branches
that don't see one another, ratings and the losses of the answer alone and of the prompt after the
answer. How a model computes branches rightly is found by a self-test; one that can't gets each path
as a row of its own: slower, the same numbers.
"""

import logging
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..core.measures import Ask, Item, Measured
from .exchange import Exchange, build_exchange
from .layout import packed_batches, padded_batches
from .memory import is_out_of_memory
from .network import Network, Work
from .questions import Questions
from .reading import PATHS, Reading, Way, read
from .selftest import choose_way
from .sources import load_tokenizer
from .summary import summarise
from .tokens import Tokens, Unscored

PASS_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Computed tokens per pass: a CPU gains nothing from more."""

_log = logging.getLogger(__name__)


class Scorer:
    """One model that measures conversations.

    Attributes:
        tokens: the encoder, the same as in training.
        splits: batches that did not fit into memory and were halved.
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
        self.splits = 0
        self._network = Network(folder, dtype, device)
        self._pass_tokens = PASS_TOKENS[device.partition(":")[0]]
        self._planned: dict[tuple[Item, frozenset[Ask]], Exchange | Unscored] = {}
        if adapter is not None:
            self._network = self._network.adapted(adapter)

    @property
    def template_name(self) -> str:
        """`tokenizer` or `plain`."""
        return self.tokens.template_name

    @cached_property
    def way(self) -> Way:
        """How this model computes branches rightly; tested on first use."""
        way = choose_way(self._network, min(self.tokens.max_length, self._network.context))
        self._network.work = Work()
        return way

    @property
    def fused(self) -> bool:
        """Whether one row holds a conversation and its branches."""
        return self.way is not PATHS

    @property
    def work(self) -> Work:
        """What the passes computed so far."""
        return self._network.work

    def cost(self) -> dict[str, Any]:
        """Return what the passes of this process took, as JSON types.

        `way` of computing branches (None where there was no pass), `passes`, `tokens`, the share of
        `padding` on top of them, and `splits`: batches that did not fit into memory.
        """
        way: Way | None = self.__dict__.get("way")  # asking for it would test the model
        return {
            "way": way and way.name,
            "passes": self.work.passes,
            "tokens": self.work.tokens,
            "padding": round(self.work.padding, 4),
            "splits": self.splits,
        }

    def adapted(self, adapter: Path) -> "Scorer":
        """Return a scorer of the tuned model: this one with a LoRA adapter merged into it.

        Both have the same weights in the same memory, so this scorer is closed; what the other
        measures is what a freshly loaded, merged model gives. There is no way back, as taking an
        adapter out of weights is not exact.

        Raises:
            ModelError: the adapter can't be used.
        """
        network = self._network.adapted(adapter)
        tuned = copy(self)
        tuned._network = network
        tuned._planned = {}
        tuned.splits = 0
        tuned.__dict__.pop("way", None)  # tested again, with the tuned weights
        return tuned

    def plan(
        self,
        items: Sequence[Item],
        asks: frozenset[Ask] = frozenset(),
        budget_tokens: int | None = None,
    ) -> list[list[int]]:
        """Return batches of indices, longest first, equal lengths by key.

        The tokens that a batch computes keep within `budget_tokens` (by default what suits the
        device); a longer item is a batch alone.
        Items that can't be encoded are planned too, and come back from `score` unscored.
        """
        built = [self._exchange(item, asks) for item in items]
        # Encoding is a good part of the work on a fast device: `score` finds it done.
        self._planned = {(item, asks): one for item, one in zip(items, built, strict=True)}
        lengths = [one.length if isinstance(one, Exchange) else 1 for one in built]
        order = sorted(range(len(items)), key=lambda i: (-lengths[i], items[i].key))
        fill = packed_batches if self.way.packed else padded_batches
        return fill(lengths, order, budget_tokens or self._pass_tokens)

    def count_tokens(self, items: Sequence[Item], asks: frozenset[Ask] = frozenset()) -> list[int]:
        """Return the tokens that a fused pass computes per item; 0 where it can't be encoded."""
        exchanges = [self._exchange(item, asks) for item in items]
        return [e.length if isinstance(e, Exchange) else 0 for e in exchanges]

    def score(self, items: Sequence[Item], asks: frozenset[Ask] = frozenset()) -> list[Measured]:
        """Measure one batch, in order.

        Numbers are rounded. Where the template can't ask the rating questions, `ratings` is None
        though asked for. A batch that does not fit into memory is split; an item that does not fit
        alone is unscored.
        """
        built = [self._encoded(item, asks) for item in items]
        exchanges = [exchange for exchange in built if isinstance(exchange, Exchange)]
        measured = iter(self._measure(exchanges))
        return [
            next(measured) if isinstance(result, Exchange) else Measured(unscored=result.reason)
            for result in built
        ]

    def close(self) -> None:
        """Free the model's memory."""
        self._planned = {}
        self._network.close()

    @cached_property
    def _questions(self) -> Questions | None:
        try:
            return Questions(self.tokens)
        except Unscored as refusal:
            _log.warning("no ratings: %s", refusal.reason)
            return None

    def _encoded(self, item: Item, asks: frozenset[Ask]) -> Exchange | Unscored:
        key = (item, asks)
        return self._planned.pop(key) if key in self._planned else self._exchange(item, asks)

    def _exchange(self, item: Item, asks: frozenset[Ask]) -> Exchange | Unscored:
        questions = self._questions if asks & {"ratings", "answer_ratings"} else None
        try:
            return build_exchange(
                self.tokens, item, asks, questions=questions, context=self._network.context
            )
        except Unscored as refusal:
            return refusal

    def _measure(self, exchanges: list[Exchange]) -> list[Measured]:
        if not exchanges:
            return []
        readings = self._read(exchanges)
        if readings is not None:
            values = self._questions.values if exchanges[0].ratings and self._questions else []
            return [
                summarise(exchange, reading, values)
                for exchange, reading in zip(exchanges, readings, strict=True)
            ]
        if len(exchanges) == 1:
            _log.warning("out of memory: a conversation of %d tokens", exchanges[0].length)
            return [Measured(unscored="out_of_memory")]
        self.splits += 1
        _log.warning("out of memory: a batch of %d conversations is split", len(exchanges))
        half = len(exchanges) // 2
        return [*self._measure(exchanges[:half]), *self._measure(exchanges[half:])]

    def _read(self, exchanges: list[Exchange]) -> list[Reading] | None:
        """Return what the model says; None where memory ran out.

        The error is gone when this returns, and with it what its traceback kept in memory.
        """
        rated = self._questions.ids if exchanges[0].ratings and self._questions else []
        try:
            return read(
                self._network,
                exchanges,
                self.way,
                rating_ids=np.array(rated, dtype=np.int32),
                budget=self._pass_tokens,
            )
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None
