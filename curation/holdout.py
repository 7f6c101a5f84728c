"""The hold-out: rows that are never trained on or rewritten, chosen by groups of near-duplicates.

A row whose near-duplicate is trained on measures memory, so a group of near-duplicates stays whole
on one side. Near-duplicates are rows with the same prompt (case, punctuation and white space
aside), or whose five-word shingles of prompt and answer have a Jaccard similarity of at least 0.7.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from ..core.errors import ConfigError
from .shingles import similar_pairs

SHARE = 0.1
FEWEST, MOST = 64, 500
_SIGNS = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_SIGNS}]|[^\W{_SIGNS}]+")

Row = tuple[str, str, str]
"""(id, prompt, answer)"""


def holdout_size(rows: int) -> int:
    """Return the default hold-out size: 10 %, at least min(64, a quarter), at most 500."""
    return min(MOST, max(round(SHARE * rows), min(FEWEST, rows // 4)))


def choose_holdout(samples: Sequence[Row], rows: int | None, seed: int) -> set[str]:
    """Choose whole groups of near-duplicates at random until the hold-out has its size.

    A group that would exceed the size is passed over, so the result may fall short of it where
    groups are large; it never exceeds it. The order of `samples` makes no difference.

    Args:
        samples: (id, prompt, answer) of the usable rows.
        rows: wanted size; None for the default.
        seed: of the run.

    Raises:
        ConfigError: more than half of the rows are wanted.
    """
    size = holdout_size(len(samples)) if rows is None else rows
    if size > len(samples) / 2:
        raise ConfigError(
            f"evaluation.rows: {size} of {len(samples)} usable rows can't be held out; set at most"
            f" {len(samples) // 2}, or give `evaluation.data`"
        )
    candidates = groups(samples)
    chosen: set[str] = set()
    for index in np.random.default_rng([seed, 5]).permutation(len(candidates)):
        group = candidates[index]
        if len(chosen) + len(group) <= size:
            chosen.update(group)
        if len(chosen) == size:
            break
    return chosen


def groups(samples: Sequence[Row]) -> list[list[str]]:
    """Return the ids in groups of near-duplicates, each sorted, ordered by their first id.

    Being a near-duplicate is passed on: a group is everything that chains of pairs connect.
    """
    rows = sorted(samples)
    texts = [(words_of(prompt), words_of(answer)) for _, prompt, answer in rows]
    leader = list(range(len(rows)))

    def root(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    def join(one: int, other: int) -> None:
        first, second = sorted((root(one), root(other)))
        leader[second] = first

    seen: dict[tuple[str, ...], int] = {}
    for row, (prompt, _) in enumerate(texts):
        # A prompt of signs alone has no words; its text stands for itself.
        key = tuple(prompt) or ("", rows[row][1].strip())
        join(seen.setdefault(key, row), row)
    for one, other in similar_pairs([prompt + answer for prompt, answer in texts]):
        join(one, other)

    found: dict[int, list[str]] = {}
    for row, (name, _, _) in enumerate(rows):
        found.setdefault(root(row), []).append(name)
    return list(found.values())


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; each Chinese, Japanese or Korean sign is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
