"""The rows of one optimizer step, packed into sequences that the model reads one after the other.

A sequence holds whole rows end to end and no padding. Position ids restart with every row: where
transformers sees that, and no mask and no cache, it lets no row attend to another, sliding windows
included. `isolation.py` tests at load that a model does so. Rows are grouped within a step only, so
that a step has the same random rows however they are packed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from .tokens import IGNORED

PACK_TOKENS = {"cpu": 256, "cuda": 4096}
"""Tokens of a sequence of several rows. On CPU more of them take memory and bring no speed."""

ALONE = 0
"""The budget that gives every row a sequence of its own."""


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group rows, longest first, each into the first sequence that has room for it.

    Args:
        lengths: tokens per row.
        budget: tokens of a sequence; a longer row has a sequence of its own.

    Returns:
        Indices of rows, each exactly once, rising within a sequence.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        length = lengths[index]
        place = next((number for number, left in enumerate(room) if length <= left), len(packs))
        if place == len(packs):
            packs.append([])
            room.append(budget)
        packs[place].append(index)
        room[place] -= length
    return [sorted(rows) for rows in packs]


class StepCollator:
    """Collates the rows of one optimizer step."""

    def __init__(self, budget: int) -> None:
        """Keep the tokens that a sequence may have."""
        self._budget = budget

    def __call__(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, Any]:
        """Return the rows end to end, in the order of their sequences.

        Returns:
            `input_ids` and `labels`, int64[1, tokens of the step], the label of a row's first token
            ignored, since nothing of its row predicts it; `packs`, the lengths of each sequence's
            rows.
        """
        packs = pack([len(row["input_ids"]) for row in rows], self._budget)
        order = [rows[index] for group in packs for index in group]
        ids = [token for row in order for token in row["input_ids"]]
        labels = [label for row in order for label in (IGNORED, *row["labels"][1:])]
        return {
            "input_ids": torch.tensor([ids]),
            "labels": torch.tensor([labels]),
            "packs": [[len(rows[index]["input_ids"]) for index in group] for group in packs],
        }


def sequences(step: Mapping[str, Any]) -> Iterator[dict[str, torch.Tensor]]:
    """Cut a collated step into the model's inputs, one sequence at a time.

    Yields:
        `input_ids` and `labels`, [1, tokens], with `position_ids` where there are several rows; a
        single row is given as any model takes it, with an `attention_mask` of ones.
    """
    start = 0
    for lengths in step["packs"]:
        end = start + sum(lengths)
        ids = step["input_ids"][:, start:end]
        inputs = {"input_ids": ids, "labels": step["labels"][:, start:end]}
        if len(lengths) > 1:
            inputs["position_ids"] = restarting(lengths, ids.device)
        else:
            inputs["attention_mask"] = torch.ones_like(ids)
        yield inputs
        start = end


def restarting(lengths: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return position ids, int64[1, tokens], that count from 0 in every row."""
    return torch.cat([torch.arange(length, device=device) for length in lengths])[None]
