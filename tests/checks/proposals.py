"""Short ways to say "this sample, and what a rewriter made of it"."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from middo.checks.context import CheckContext
from middo.checks.decontamination import EvaluationIndex
from middo.core.records import Axis, Message, Proposal, Sample, sample_id

Pair = tuple[str, str]


def sample(prompt: str, answer: str = "It is so.", *before: Message) -> Sample:
    messages = (*before, Message("user", prompt), Message("assistant", answer))
    return Sample(sample_id(messages), messages, "rows.jsonl:1")


def proposal(
    old: Pair | str, new: Pair | str, axis: Axis = Axis.QUALITY, adds: bool = False
) -> Proposal:
    """Return a proposal; a text alone is a prompt with an answer of its own."""
    parent = sample(*((old, "It was so.") if isinstance(old, str) else old))
    prompt, answer = (new, "It is so.") if isinstance(new, str) else new
    return Proposal(parent, axis, 1, parent.with_exchange(prompt, answer), adds)


def never(texts: list[str]) -> NDArray[np.float32]:
    raise AssertionError(f"embedded {texts}")


def table(vectors: dict[str, list[float]]) -> Callable[[list[str]], NDArray[np.float32]]:
    """Return an embedder that knows these texts."""

    def embed(texts: list[str]) -> NDArray[np.float32]:
        rows = np.asarray([vectors[text] for text in texts], dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    return embed


def context(**changes: Any) -> CheckContext:
    bounds: dict[str, Any] = {
        "similarity": (0.60, 0.995),
        "length_ratio": (0.2, 5.0),
        "embed": never,
        "flagged": frozenset({Axis.QUALITY}),
        "decontamination": EvaluationIndex.build([]),
    }
    return CheckContext(**(bounds | changes))
