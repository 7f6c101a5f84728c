"""Whether a model keeps the rows of a packed sequence apart.

Models that don't, among them those with recurrent layers or attention code of their own, say
nothing and train on mixed rows, so only a comparison tells. The rows are arbitrary tokens: what
counts is who sees whom.
"""

import logging
from typing import Any

import torch

from .packing import restarting

SHORT = 24
LEAK = 1e-5
"""Largest change of a row's states by its neighbour. Shapes are equal, so nothing else differs."""

APART = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Largest difference from the row's states by itself; shapes differ, and so does rounding."""

_log = logging.getLogger(__name__)


@torch.no_grad()
def keeps_rows_apart(model: Any, longest: int) -> bool:
    """Return whether a row's hidden states are the same in a packed sequence and by itself.

    Args:
        model: a causal language model, not yet wrapped by an adapter.
        longest: tokens of the longest row that it will be given; a sliding window wider than that
            is never met and not tested.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    length = min(window + SHORT, longest) if window and window < longest else min(SHORT, longest)
    random = torch.Generator().manual_seed(0)
    first, other, second = (
        torch.randint(3, config.vocab_size, (size,), generator=random).to(model.device)
        for size in (length, length, max(length * 2 // 3, 1))
    )
    was_training = model.training
    model.eval()
    try:
        together = _states(model, first, second)
        beside_other = _states(model, other, second)
        alone = _states(model, second)
    except torch.cuda.OutOfMemoryError:
        raise
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        _log.warning("rows are not packed, the model refuses it: %s", error)
        return False
    finally:
        model.train(was_training)
    leak, apart = _distance(together, beside_other), _distance(together, alone)
    keeps = leak <= LEAK and apart <= APART.get(model.dtype, 0.0)  # false for NaN
    if not keeps:
        _log.warning(
            "rows are not packed: the model's states change by %.2g with a neighbour's tokens and"
            " differ by %.2g from those of the row by itself",
            leak,
            apart,
        )
    return keeps


def _states(model: Any, *rows: torch.Tensor) -> torch.Tensor:
    """Return the last hidden states of the last row, [tokens, size]."""
    states: torch.Tensor = model.base_model(
        input_ids=torch.cat(rows)[None],
        position_ids=restarting([len(row) for row in rows], model.device),
        use_cache=False,
    ).last_hidden_state
    return states[0, -len(rows[-1]) :]


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference as a share of the mean size."""
    return float((one - other).abs().max() / other.abs().mean())
