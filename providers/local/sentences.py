"""Sentence embeddings with sentence-transformers, on the CPU.

Texts are embedded one by one: padding and batch shapes change the last digits of a vector, and a
decision must not depend on what else was asked in the same call. Checks ask for a few texts at a
time and for the same originals on every attempt, so a cache by text costs less than batches gain.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ModelError

CACHED_TEXTS = 4096


class SentenceEmbedder:
    """A sentence-transformers model that sees the whole of a text.

    Such models read a few hundred tokens and ignore the rest without a word. A longer text is cut
    into pieces of that size; its vector is the mean of theirs, weighted by their tokens.
    """

    def __init__(self, model: Any) -> None:
        """Wrap a loaded `sentence_transformers.SentenceTransformer`."""
        self._model = model
        self._one = lru_cache(maxsize=CACHED_TEXTS)(self._embed)
        # Tokenizers and the cache are called from several threads.
        self._lock = threading.Lock()

    @classmethod
    def load(cls, source: str) -> "SentenceEmbedder":
        """Load a folder or a name; safetensors only, and no code from the model's repository.

        Raises:
            ModelError: there is no such model here or at the hub, or it has no safetensors.
        """
        with _quiet():
            from sentence_transformers import SentenceTransformer

            try:
                model = SentenceTransformer(
                    source,
                    device="cpu",
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True},
                )
            except (OSError, ValueError, KeyError, ImportError) as error:
                why = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
                raise ModelError(
                    f"checks.embedder: {source!r} can't be loaded ({why}); name a "
                    f"sentence-transformers model with safetensors, its folder, or `minilm`"
                ) from error
        return cls(model.eval())

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Return float32[n, d], a row of unit length per text."""
        with self._lock:
            if not texts:
                return np.zeros((0, len(self._one(""))), dtype=np.float32)
            return np.stack([self._one(text) for text in texts])

    def _embed(self, text: str) -> NDArray[np.float32]:
        # JSON files can hold lone surrogates, which no tokenizer takes.
        text = text.encode("utf-8", "replace").decode("utf-8")
        pieces, weights = self._pieces(text)
        rows = [
            self._model.encode(
                piece, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
            )
            for piece in pieces
        ]
        mean = np.average(np.asarray(rows, dtype=np.float64), axis=0, weights=weights)
        vector = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
        vector.flags.writeable = False  # the cache hands out this very array
        return np.asarray(vector)

    def _pieces(self, text: str) -> tuple[list[str], list[int]]:
        """Return the pieces of a text that fit the model, and their numbers of tokens."""
        limit = self._model.max_seq_length
        tokenizer = self._model.tokenizer
        if limit is None or len(text) < limit:  # no token is shorter than a character
            return [text], [1]
        with _quiet():  # a warning says that the text is too long, which is why it is cut
            encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        room = limit - tokenizer.num_special_tokens_to_add()
        if len(offsets) <= room:
            return [text], [1]
        parts = [offsets[start : start + room] for start in range(0, len(offsets), room)]
        return [text[part[0][0] : part[-1][1]] for part in parts], [len(part) for part in parts]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the libraries print on loading: bars, notes, warnings about their own parts."""
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    level = transformers_logging.get_verbosity()
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "huggingface_hub")]
    before = [logger.level for logger in loggers]
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
