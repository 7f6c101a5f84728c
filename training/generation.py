"""Answers of the trainee to many prompts: greedy, in batches; a repeated call says the same.

Prompts are encoded as training encodes them. Rows of similar length share a batch, padded on the
left; a batch that memory is too small for is halved.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import GenerationConfig, StoppingCriteriaList

from ..core.errors import Interrupted, ModelError
from .memory import is_out_of_memory
from .sources import load_causal_lm, load_tokenizer
from .template import Turn
from .tokens import Tokens, Unscored
from .weights import with_adapter

BATCH = {"cpu": 16, "cuda": 64}
"""Prompts that are answered together."""

OnAnswers = Callable[[int, int, float | None], None]
"""Told (answers, answers in all, seconds left or None)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said.

    Attributes:
        text: without special tokens; empty where the prompt could not be asked.
        tokens: generated, the end token included.
        is_whole: whether it ended by itself.
        problem: why the prompt could not be asked; empty where it was.
    """

    text: str
    tokens: int
    is_whole: bool
    problem: str = ""


class Generator:
    """A model that answers prompts."""

    def __init__(
        self,
        folder: Path,
        *,
        adapter: Path | None = None,
        dtype: str,
        device: str,
        template: Literal["auto", "plain"] = "auto",
    ) -> None:
        """Load a model folder, a LoRA adapter merged into it.

        Raises:
            ModelError: it can't be loaded.
        """
        self._tokens = Tokens(load_tokenizer(folder), template)
        self._ends = sorted(self._tokens.ends())
        model = load_causal_lm(folder, dtype, device)
        self._model: Any = model if adapter is None else with_adapter(model, adapter)
        # A model folder may ask for sampling or penalties; what is measured must not depend on it.
        self._model.generation_config = GenerationConfig()
        config = self._model.config.get_text_config()
        self._context = int(getattr(config, "max_position_embeddings", None) or 2**31)
        self._batch = BATCH["cuda" if device.startswith("cuda") else "cpu"]

    def answers(
        self,
        prompts: Sequence[Sequence[Turn]],
        *,
        max_tokens: int,
        advance: OnAnswers = lambda done, total, eta: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[Answer]:
        """Answer each prompt by its likeliest tokens, one after the other.

        Args:
            prompts: (role, text) pairs, the last of a user.
            max_tokens: of an answer at most.
            advance: told of the answers so far.
            should_stop: asked after each token.

        Raises:
            Interrupted: `should_stop` said so.
            ModelError: memory is too small for a single prompt.
        """
        found: dict[int, Answer] = {}
        encoded: dict[int, list[int]] = {}
        for index, turns in enumerate(prompts):
            try:
                ids = self._tokens.encode_prompt(turns)
            except Unscored as error:
                found[index] = Answer("", 0, False, error.reason)
                continue
            if len(ids) < self._context:
                encoded[index] = ids
            else:
                found[index] = Answer("", 0, False, "too_long")
        order = sorted(encoded, key=lambda index: (len(encoded[index]), index))
        started, done = time.monotonic(), len(found)
        while order:
            part = order[: self._batch]
            said = self._said([encoded[index] for index in part], max_tokens, should_stop)
            if said is None:
                self._batch = len(part) // 2
                continue
            found.update(zip(part, said, strict=True))
            order = order[len(part) :]
            answered = len(found) - done
            eta = (time.monotonic() - started) / answered * len(order)
            advance(len(found), len(prompts), eta)
        return [found[index] for index in range(len(prompts))]

    def close(self) -> None:
        """Free the weights."""
        cuda = self._model is not None and self._model.device.type == "cuda"
        self._model = None
        if cuda:
            torch.cuda.empty_cache()

    def _said(
        self, batch: list[list[int]], max_tokens: int, should_stop: Callable[[], bool]
    ) -> list[Answer] | None:
        """Answer a batch; None where memory is too small for it."""
        try:
            return self._generated(batch, max_tokens, should_stop)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise ModelError(
                    f"evaluation.tasks: memory is too small for one answer to {len(batch[0])}"
                    " tokens; lower max_tokens, or take a smaller model"
                ) from error
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _generated(
        self, batch: list[list[int]], max_tokens: int, should_stop: Callable[[], bool]
    ) -> list[Answer]:
        width = max(map(len, batch))
        pad = self._ends[0] if self._ends else 0
        device = self._model.device
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in batch], device=device)
        seen = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        settings = GenerationConfig(
            max_new_tokens=min(max_tokens, self._context - width),
            do_sample=False,
            eos_token_id=self._ends or None,
            pad_token_id=pad,
        )
        halted = False

        def halts(ids: Any, scores: Any, **kwargs: Any) -> Any:
            nonlocal halted
            halted = halted or should_stop()
            return torch.full((len(ids),), halted, device=ids.device)

        with torch.inference_mode():
            made = self._model.generate(
                input_ids=ids,
                attention_mask=seen.to(device),
                generation_config=settings,
                stopping_criteria=StoppingCriteriaList([halts]),
            )
        if halted:
            raise Interrupted("stopped while answering evaluation tasks; resume to go on")
        return [self._answer(row) for row in made[:, width:].tolist()]

    def _answer(self, ids: list[int]) -> Answer:
        end = next((place for place, token in enumerate(ids) if token in self._ends), None)
        text: str = self._tokens.tokenizer.decode(
            ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Answer(text, len(ids) if end is None else end + 1, end is not None)
