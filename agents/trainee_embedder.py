"""Embed texts with the trainee itself, for those who choose `checks.embedder: trainee`.

A text is embedded as the diagnosis embeds a prompt, and centred on the data set's mean: without
that all texts look alike to a language model. The bounds of `checks.similarity` were chosen for
sentence embeddings; with this embedder they want choosing anew.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..core.measures import Ask, Item, Measured
from ..core.records import Message
from ..signals.density import Vectors, centre_and_normalise

Score = Callable[[list[Item], frozenset[Ask]], list[Measured]]
FILLER = "."
"""The answer that a conversation needs; it comes after the prompt and can't change its vector."""


class TraineeEmbedder:
    """Embeds with a round's model; a text that it can't measure is similar to nothing."""

    def __init__(self, score: Score, mean: NDArray[np.float64]) -> None:
        """Use an open scorer's `score`, and the mean of the round's embeddings (float64[d])."""
        self._score = score
        self._mean = mean

    def __call__(self, texts: list[str]) -> Vectors:
        """Return float32[n, d], rows of unit length, or zero where a text can't be measured."""
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> Vectors:
        messages = (Message("user", text), Message("assistant", FILLER))
        (measured,) = self._score([Item(text, messages)], frozenset({"embedding"}))
        if measured.embedding is None:
            return np.zeros(len(self._mean), dtype=np.float32)
        raw = np.array([measured.embedding], dtype=np.float32)
        vector: Vectors = centre_and_normalise(raw, self._mean)[0]
        return vector
