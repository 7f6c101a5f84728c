"""How a model computes branches rightly: passes of each kind against one path at a time.

Some attention implementations misread a 4-D mask or a sliding window without an error, so nothing
but a comparison tells. The conversations are arbitrary tokens: what counts is who sees whom.
"""

import logging
from typing import Any

import numpy as np

from .exchange import Exchange, Targets
from .layout import Ids, Segment
from .memory import is_out_of_memory
from .network import Network
from .reading import BLOCKS, MASKS, PATHS, Reading, Way, read

SHORT = 24
BRANCH = 5
BUDGET = 4096

_log = logging.getLogger(__name__)


def choose_way(network: Network, longest: int) -> Way:
    """Return the fastest way that gives this model's true numbers.

    Blocks, where the device gains from them; else rows under a mask; else each path for itself,
    which every model can.

    Args:
        network: the model.
        longest: the longest path in tokens that will be scored; windows wider than that are never
            met and not tested.
    """
    exchanges = _conversations(network, longest)
    truth = read(network, exchanges, PATHS, rating_ids=RATED, budget=BUDGET)
    for way in (BLOCKS, MASKS):
        if way is BLOCKS and not network.may_pack:
            continue
        reason = _disagreement(network, exchanges, way, truth)
        if reason is None:
            return way
        _log.warning("no passes with %s: %s", way.name, reason)
    return PATHS


RATED = np.array([3, 5], dtype=np.int32)


def _disagreement(
    network: Network, exchanges: list[Exchange], way: Way, truth: list[Reading]
) -> str | None:
    """Return what is wrong with a way of computing the exchanges; None where nothing is."""
    try:
        found = read(network, exchanges, way, rating_ids=RATED, budget=BUDGET)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return f"the model refuses them ({error})"
    worst = max(_difference(one, other) for one, other in zip(found, truth, strict=True))
    if worst <= network.tolerance:  # false for NaN
        return None
    return f"they differ from separate passes by {worst:.3g} nats"


def _conversations(network: Network, longest: int) -> list[Exchange]:
    window = getattr(network.config, "sliding_window", None)
    length = min(window + SHORT, longest) if window and window < longest else SHORT
    length = max(min(length, network.context - BRANCH), BRANCH)
    return [_arbitrary(network, length, 1), _arbitrary(network, max(length * 2 // 3, 4), 2)]


def _arbitrary(network: Network, length: int, seed: int) -> Exchange:
    """Return a conversation of arbitrary tokens with sisters at its start, middle and end."""
    random = np.random.default_rng(seed)

    def draw(count: int) -> Ids:
        return random.integers(3, network.config.vocab_size, count).astype(np.int32)

    segments = [Segment(draw(length))]
    for after in (1, length // 2, length // 2, length, length):
        segments.append(Segment(draw(BRANCH), after))
    numbers = np.repeat(np.arange(len(segments)), [len(one.ids) for one in segments])
    places = np.concatenate([np.arange(one.after, one.path_length) for one in segments])
    tokens = np.concatenate([one.ids for one in segments])
    predicted = places > 0
    return Exchange(
        segments=segments,
        prompt_span=(1, length // 2),
        answer_tokens=0,
        copied=0.0,
        looped=0.0,
        targets={
            "answer": Targets(
                numbers[predicted].astype(np.int32),
                places[predicted].astype(np.int32),
                tokens[predicted],
            )
        },
        ratings=list(range(1, len(segments))),
        embeds=True,
    )


def _difference(one: Reading, other: Reading) -> float:
    """Return the mean difference of losses and rating logits, or the embeddings' relative one."""
    embedding = _distance(one.embedding, other.embedding) / float(
        np.abs(np.asarray(other.embedding)).mean()
    )
    return max(
        _distance(one.losses["answer"], other.losses["answer"]),
        _distance(one.ratings, other.ratings),
        embedding,
    )


def _distance(one: Any, other: Any) -> float:
    return float(np.abs(one - other).mean())
