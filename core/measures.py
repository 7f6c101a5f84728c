"""What a model says of a conversation's last exchange, measured in one forward pass.

Notation: p the prompt (the last user turn, with its history), a the answer (the final assistant
turn), L a mean cross-entropy in nats per token. Only content tokens count, template tokens never.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from .records import Message

Ask = Literal["embedding", "prompt", "alone", "reverse", "ratings", "answer_ratings"]
"""What to measure beside the answer's own token losses: the prompt's embedding; L(p), the prompt
itself; L(a), the answer alone; L(p) and L(p|a), the prompt before and after the answer; the six
ratings, or only the three of the answer."""

RATINGS = (
    "rating_prompt_clarity",
    "rating_prompt_completeness",
    "rating_prompt_factuality",
    "rating_answer_clarity",
    "rating_answer_completeness",
    "rating_answer_factuality",
)


@dataclass(frozen=True, slots=True)
class Item:
    """A conversation to score. `key` is the caller's name for it."""

    key: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """The signals of one conversation under one model; None where not asked for.

    Attributes:
        answer_tokens: content tokens of the answer.
        prompt_tokens: content tokens of the prompt.
        loss: L(a|p).
        end: surprise at the answer's end-of-turn token, nats.
        peak: largest surplus of an answer token's loss over the entropy of its prediction, nats:
            how far the one least fitting token lies beyond the model's own doubt.
        alone: L(a), the answer in an assistant turn after an empty user turn.
        opening: L(a) − L(a|p) over the answer's first 8 tokens.
        copied: share of the prompt's tokens in runs of three or more that the answer repeats.
        looped: share of the answer's tokens in runs of five or more that stand in it repeatedly.
        prompt: L(p), without prompt tokens that the answer repeats (runs of three or more).
        reverse: L(p|a), the same prompt tokens as an assistant turn after the answer.
        ratings: expected ratings in the order of `RATINGS`, 1 to 5; None for those not asked for.
        rating_mass: probability that the next token is a rating at all, mean of the three
            ratings of the answer.
        embedding: mean of the last hidden states over the prompt's content tokens, as a tuple.
        unscored: why nothing could be measured; all numbers are then 0 or None.
    """

    answer_tokens: int = 0
    prompt_tokens: int = 0
    loss: float = 0.0
    end: float | None = None
    peak: float | None = None
    alone: float | None = None
    opening: float | None = None
    copied: float | None = None
    looped: float | None = None
    prompt: float | None = None
    reverse: float | None = None
    ratings: tuple[float | None, ...] | None = None
    rating_mass: float | None = None
    embedding: tuple[float, ...] | None = None
    unscored: str | None = None

    @property
    def gain(self) -> float | None:
        """What the prompt tells about the answer: L(a) − L(a|p)."""
        return None if self.alone is None else self.alone - self.loss

    @property
    def recoverability(self) -> float | None:
        """What the answer tells about the prompt: L(p) − L(p|a)."""
        if self.prompt is None or self.reverse is None:
            return None
        return self.prompt - self.reverse

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement as JSON types; `measured_from` is the inverse."""
        return asdict(self)


def measured_from(plain: dict[str, Any]) -> Measured:
    """Rebuild a measurement from `Measured.as_dict`."""
    sequences = {
        key: tuple(plain[key]) for key in ("ratings", "embedding") if plain[key] is not None
    }
    return Measured(**{**plain, **sequences})
