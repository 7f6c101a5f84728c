"""The embedder of the checks: a sentence embedder, or by choice the trainee."""

from threading import Lock

from ..agents.trainee_embedder import Score, TraineeEmbedder
from ..checks.context import Embed
from ..core.measures import Ask, Item, Measured
from ..signals.density import Vectors, mean_vector
from .deps import Deps

TRAINEE = "trainee"


def embedder_of(deps: Deps, score: Score, raw: Vectors) -> Embed:
    """Return what `checks.embedder` names.

    Args:
        deps: the open run.
        score: of the round's model.
        raw: float32[n, d], the round's embeddings as measured.
    """
    if deps.config.checks.embedder == TRAINEE:
        return TraineeEmbedder(score, mean_vector(raw))
    return deps.embedder


def one_at_a_time(score: Score) -> Score:
    """Return the same function for many threads: a scorer measures one thing at a time."""
    lock = Lock()

    def locked(items: list[Item], asks: frozenset[Ask]) -> list[Measured]:
        with lock:
            return score(items, asks)

    return locked
