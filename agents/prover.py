"""The prover: the trainee itself measures a proposal, and code decides whether that is evidence.

One proposal is scored per pass, so that its numbers do not depend on what else is under way.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.measures import Ask, Item, Measured
from ..core.records import Axis, Proposal, Verdict
from ..signals.complexity import SHORTEST_PROMPT
from ..signals.density import centre_and_normalise
from ..signals.proof import (
    TOO_SHORT,
    UNREADABLE,
    Terms,
    fewest_tokens,
    prove_complexity,
    prove_diversity,
    prove_quality,
)
from ..signals.quality import Calibration
from .reference import Reference

Vectors = NDArray[np.float32]

FURTHER_ASKS: Mapping[Axis, frozenset[Ask]] = {
    Axis.COMPLEXITY: frozenset({"prompt"}),
    Axis.DIVERSITY: frozenset({"embedding"}),
    Axis.QUALITY: frozenset(),
}
"""What a proof of an axis reads beside what quality does."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a diagnosis left for the proofs of its round.

    Attributes:
        terms: offset, floor, margin and quality bounds.
        calibration: of quality.
        reference: thresholds; the complexity bound of a proposal's length comes from here.
        shift: change of the hold-out mean since the thresholds were fitted, nats per token.
        signals: id of a flagged sample -> its `quality`, `answer_tokens`, `loss_tuned` and
            `neighbours`; where prompts were read, the rest of `COMPLEXITY_COLUMNS` too.
        ids: of the embedded samples.
        vectors: float32[n, d], their embeddings, centred on their mean and normalised.
        mean: float64[d], that mean; None where no sample has an embedding.
        neighbours: samples that density averages.
    """

    terms: Terms
    calibration: Calibration
    reference: Reference
    shift: float
    signals: Mapping[str, Mapping[str, Any]]
    ids: list[str]
    vectors: Vectors
    mean: NDArray[np.float64] | None
    neighbours: int


class Prover:
    """Score proposals with the round's model and hold them against the round's evidence."""

    def __init__(
        self, score: Callable[[list[Item], frozenset[Ask]], list[Measured]], evidence: Evidence
    ) -> None:
        """Use an open scorer's `score`."""
        self._score = score
        self._evidence = evidence
        self._one_pass = asyncio.Lock()
        self._place = {name: i for i, name in enumerate(evidence.ids)}

    async def prove(self, proposal: Proposal) -> Verdict:
        """Return the proof's verdict on a proposal, by its axis."""
        evidence = self._evidence
        asks = evidence.calibration.asks | FURTHER_ASKS[proposal.axis]
        async with self._one_pass:
            (measured,) = await asyncio.to_thread(
                self._score, [Item(proposal.id, proposal.messages)], asks
            )
        name, original = f"proof.{proposal.axis}", evidence.signals[proposal.parent.id]
        if measured.unscored is not None:
            return Verdict(name, False, {"unscored": measured.unscored}, UNREADABLE)
        tokens, fewest = measured.answer_tokens, fewest_tokens(original["answer_tokens"])
        if tokens < fewest:
            numbers = {"answer_tokens": tokens, "answer_tokens_at_least": fewest}
            return Verdict(name, False, numbers, TOO_SHORT)
        quality = evidence.calibration.probability(measured)
        if proposal.axis is Axis.DIVERSITY:
            # Comparing with every sample takes a while, in which others go on.
            return await asyncio.to_thread(self._diversity, proposal, measured, quality)
        measures = {
            "loss": measured.loss,
            "quality": quality,
            "original_quality": original["quality"],
        }
        if proposal.axis is Axis.QUALITY:
            return prove_quality(evidence.terms, **measures)
        return prove_complexity(
            evidence.terms,
            **measures,
            loss_bound=self._bound(tokens, original["answer_tokens"]),
            kept_loss=original["loss_tuned"] if proposal.keeps_answer else None,
            prompt_loss=measured.prompt,
            prompt_loss_bound=self._prompt_bound(proposal, measured.prompt_tokens, original),
        )

    def _bound(self, answer_tokens: int, original_tokens: int | None) -> float:
        """Return the lower of the bounds at both lengths: losses of short answers scatter more.

        By its own bound alone, a part of a hard answer could pass without being any easier.
        """
        reference, shift = self._evidence.reference, self._evidence.shift
        lengths = (answer_tokens, answer_tokens if original_tokens is None else original_tokens)
        k = reference.complexity_k.k
        return min(reference.complexity.bound(length, k, shift) for length in lengths)

    def _prompt_bound(
        self, proposal: Proposal, prompt_tokens: int, original: Mapping[str, Any]
    ) -> float | None:
        """Return the bound of a new prompt; None where none was read, or tool turns fix the prompt.

        One that is too short to be judged must not pass for that, where the original is longer: it
        is held to the bound of the shortest that can be.
        """
        reference = self._evidence.reference
        model, k = reference.complexity, reference.complexity_k.k
        if model.prompt is None or proposal.parent.prompt_is_fixed:
            return None
        if original["prompt_tokens"] >= SHORTEST_PROMPT:
            prompt_tokens = max(prompt_tokens, SHORTEST_PROMPT)
        return model.prompt_bound(prompt_tokens, k)

    def _diversity(self, proposal: Proposal, measured: Measured, quality: float | None) -> Verdict:
        evidence = self._evidence
        similarity = nearest = None
        near: list[float] = []
        vectors = evidence.vectors
        if measured.embedding is not None and evidence.mean is not None:
            raw = np.array([measured.embedding], dtype=np.float32)
            vector = centre_and_normalise(raw, evidence.mean)[0]
            original = vectors[self._place[proposal.parent.id]]
            similarity = _rounded(vector @ original)
            nearest = _rounded((vectors @ vector).max())
            known = evidence.signals[proposal.parent.id]["neighbours"]
            near = [_rounded(vectors[self._place[name]] @ original) for name in known]
        return prove_diversity(
            evidence.terms,
            similarity=similarity,
            neighbours=near,
            nearest=nearest,
            loss=measured.loss,
            quality=quality,
            count=evidence.neighbours,
        )


def _rounded(value: Any) -> float:
    return round(float(value), 4)
