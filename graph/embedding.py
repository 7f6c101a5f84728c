"""The embedder of the checks: a sentence embedder, or by choice the trainee."""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ..agents.trainee_embedder import Score, TraineeEmbedder
from ..checks.context import Embed
from ..core.errors import ModelError
from ..core.measures import Ask, Item, Measured
from .deps import Deps

TRAINEE = "trainee"


def embedder_of(deps: Deps, score: Score, mean: NDArray[np.float64] | None) -> Embed:
    """Return what `checks.embedder` names.

    Args:
        deps: the open run.
        score: of the round's model.
        mean: float64[d], of the round's embeddings; None where no sample has one.

    Raises:
        ModelError: the trainee is to embed the checks' texts and embedded no sample.
    """
    if deps.config.checks.embedder == TRAINEE:
        if mean is None:
            raise ModelError(
                "checks.embedder: the trainee could embed no sample; name a sentence embedder"
            )
        return TraineeEmbedder(score, mean)
    return deps.embedder


def one_at_a_time(score: Score) -> Score:
    """Return the same function for many threads: a scorer measures one thing at a time."""
    lock = Lock()

    def locked(items: list[Item], asks: frozenset[Ask]) -> list[Measured]:
        with lock:
            return score(items, asks)

    return locked
