"""Content hashes: the ids of samples, rows, versions and units of work.

Ids are hashes of content, so that the same input gives the same ids on every machine and a
resumed run finds its own work again.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

ID_DIGITS = 16


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, Unicode kept.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON has no word for.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON as 64 hex digits.

    Lone surrogates, which JSON files can hold and UTF-8 can't, are hashed as they are escaped.
    """
    text = canonical_json(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def short_hash(value: Any) -> str:
    """Return the first 16 hex digits of `content_hash`: enough for ids within a run."""
    return content_hash(value)[:ID_DIGITS]


def hash_of_hashes(hashes: Iterable[str]) -> str:
    """Return one SHA-256 for a set of row hashes, whatever their order."""
    digest = hashlib.sha256()
    for item in sorted(hashes):
        digest.update(item.encode("ascii") + b"\n")
    return digest.hexdigest()


def fence_of(text: str) -> str:
    """Return the fence for a text that an LLM must read as data: 16 digits of its own hash.

    Nobody can write a text that contains its own hash, and every run has the same fence.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:ID_DIGITS]
