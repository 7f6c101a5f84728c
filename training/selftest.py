"""Whether a model takes fused rows rightly: one fused pass against separate ones.

Some attention implementations misread a 4-D mask or a sliding window without an error, so nothing
but a comparison tells. The conversations are arbitrary tokens: what counts is who sees whom.
"""

import logging
from typing import Any

import numpy as np
import torch

from .exchange import Exchange, Target
from .layout import Segment, fused, separate
from .network import Network
from .reading import Reading, read

SHORT = 24
BRANCH = 5
BUDGET = 4096

_log = logging.getLogger(__name__)


def takes_fused_rows(network: Network, longest: int) -> bool:
    """Return whether fused and separate passes agree within the precision's tolerance.

    Args:
        network: the model.
        longest: the longest path in tokens that will be scored; windows wider than that are never
            met and not tested.
    """
    window = getattr(network.config, "sliding_window", None)
    length = min(window + SHORT, longest) if window and window < longest else SHORT
    length = max(min(length, network.context - BRANCH), BRANCH)
    exchanges = [_arbitrary(network, length, 1), _arbitrary(network, max(length * 2 // 3, 4), 2)]
    ids = [3, 5]
    try:
        together = read(network, exchanges, fused, rating_ids=ids, budget=BUDGET)
    except torch.cuda.OutOfMemoryError:
        raise
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        _log.warning("fused passes are off, the model refuses the mask: %s", error)
        return False
    apart = read(network, exchanges, separate, rating_ids=ids, budget=BUDGET)
    worst = max(_difference(a, b) for a, b in zip(together, apart, strict=True))
    agrees = bool(worst <= network.tolerance)  # false for NaN
    if not agrees:
        _log.warning("fused passes are off, they differ from separate ones by %.3g nats", worst)
    return agrees


def _arbitrary(network: Network, length: int, seed: int) -> Exchange:
    """Return a conversation of arbitrary tokens with sisters at its start, middle and end."""
    random = np.random.default_rng(seed)

    def draw(count: int) -> list[int]:
        return [int(token) for token in random.integers(3, network.config.vocab_size, count)]

    segments = [Segment(draw(length))]
    for after in (1, length // 2, length // 2, length, length):
        segments.append(Segment(draw(BRANCH), after))
    targets = [
        Target(number, segment.after + offset, segment.ids[offset])
        for number, segment in enumerate(segments)
        for offset in range(0 if segment.after else 1, len(segment.ids))
    ]
    return Exchange(
        segments=segments,
        prompt_span=(1, length // 2),
        answer_tokens=0,
        targets={"answer": targets},
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
