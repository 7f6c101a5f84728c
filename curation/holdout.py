"""The hold-out: rows that are never trained on or rewritten, chosen by groups of near-duplicates.

A row whose near-duplicate is trained on measures memory, so a group of near-duplicates stays whole
on one side. Near-duplicates are rows with the same prompt (case, punctuation and white space
aside), or whose five-word shingles of prompt and answer have a Jaccard similarity of at least 0.7.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from ..core.errors import ConfigError
from .shingles import Groups, Shingler, Texts, connect

SHARE = 0.1
FEWEST, MOST = 64, 500
_SIGNS = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_SIGNS}]|[^\W{_SIGNS}]+")

Row = tuple[str, str, str]
"""(id, prompt, answer)"""


def holdout_size(rows: int) -> int:
    """Return the default hold-out size: 10 %, at least min(64, a quarter), at most 500."""
    return min(MOST, max(round(SHARE * rows), min(FEWEST, rows // 4)))


def choose_holdout(samples: Iterable[Row], rows: int | None, seed: int) -> set[str]:
    """Choose whole groups of near-duplicates at random until the hold-out has its size.

    A group that would exceed the size is passed over, so the result may fall short of it where
    groups are large; it never exceeds it. The order of `samples` makes no difference.

    Args:
        samples: (id, prompt, answer) of the usable rows, streamed once.
        rows: wanted size; None for the default.
        seed: of the run.

    Raises:
        ConfigError: more than half of the rows are wanted.
    """
    candidates = groups(samples)
    total = sum(map(len, candidates))
    size = holdout_size(total) if rows is None else rows
    if size > total / 2:
        raise ConfigError(
            f"evaluation.rows: {size} of {total} usable rows can't be held out; set at most"
            f" {total // 2}, or give `evaluation.data`"
        )
    chosen: set[str] = set()
    for index in np.random.default_rng([seed, 5]).permutation(len(candidates)):
        group = candidates[index]
        if len(chosen) + len(group) <= size:
            chosen.update(group)
        if len(chosen) == size:
            break
    return chosen


def groups(samples: Iterable[Row]) -> list[list[str]]:
    """Return the ids in groups of near-duplicates, each sorted, ordered by their first id.

    Being a near-duplicate is passed on: a group is everything that chains of pairs connect. Of the
    texts only hashes are kept, about 8 bytes per word.
    """
    ids: list[str] = []
    texts = Texts()
    found = Groups()
    shingles = Shingler()
    seen: dict[bytes, int] = {}
    for name, prompt, answer in samples:
        row = found.add()
        ids.append(name)
        words = words_of(prompt)
        # A prompt of signs alone has no words; its text stands for itself.
        key = " ".join(words) or "\n" + prompt.strip()
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found.join(seen.setdefault(digest, row), row)
        texts.append(shingles(words + words_of(answer)))
    connect(texts, found)
    members: dict[int, list[str]] = {}
    for row, name in enumerate(ids):
        members.setdefault(found.root(row), []).append(name)
    return sorted(sorted(group) for group in members.values())


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; each Chinese, Japanese or Korean sign is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
