"""Search in the texts of `index.db`: trigrams narrow it down, comparing with the words decides."""

import re
import threading
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .index_tables import Connection

LONGEST_SEARCH = 1_000
"""Characters of a search that count."""
MOST_WORDS = 32
"""Words of a search that count."""
MOST_TRIGRAMS = 40
"""Trigrams of a word that are looked up; the texts found are compared with the whole word."""
_TRIGRAM = 3
_ID = re.compile(r"[0-9a-f]{4,16}(?:-[0-9]*)?")


class Search:
    """Searches an index over a connection of its own, one at a time; the last ones are kept."""

    def __init__(self, connection: Connection) -> None:
        """Take an open connection."""
        self._connection = connection
        self._connection.raw.create_function("holds", 2, _holds, deterministic=True)
        self._found: dict[str, NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def found(self, text: str) -> NDArray[np.int64] | None:
        """Return the numbers of the samples that hold every word of a text; None for no words.

        Prompt and answer are looked at, case aside; a word is found inside of others. One word that
        can be the beginning of an id finds those ids too. Nothing is syntax. Of a text its first
        1,000 characters and 32 words count.
        """
        words = _words(text)
        if not words:
            return None
        # A run that goes on adds samples.
        last = self._connection.query("SELECT max(number) FROM samples")[0][0]
        key = "\n".join([str(last), *words])
        with self._lock:
            if key in self._found:
                return self._found[key]
        found = self._look_up(words)
        with self._lock:
            if len(self._found) >= 16:
                self._found.pop(next(iter(self._found)))
            self._found[key] = found
        return found

    def _look_up(self, words: Sequence[str]) -> NDArray[np.int64]:
        trigrams = [part for word in words for part in _trigrams(word)]
        conditions, values = [], []
        for word in words:
            condition, arguments = _condition(word)
            conditions.append(condition)
            values += arguments
        where = " AND ".join(conditions)
        if trigrams:
            sql = (
                "SELECT number FROM texts JOIN samples ON samples.number = texts.rowid"
                f" WHERE texts MATCH ? AND {where}"
            )
            quoted = " ".join(_quoted(part) for part in dict.fromkeys(trigrams))
            rows = self._connection.query(sql, quoted, *values)
        else:
            rows = self._connection.query(f"SELECT number FROM samples WHERE {where}", *values)
        numbers = _integers(number for (number,) in rows)
        if len(words) == 1 and _ID.fullmatch(words[0]):
            named = self._connection.query(
                "SELECT number FROM samples WHERE id >= ? AND id < ?",
                *(words[0], words[0] + "\U0010ffff"),
            )
            numbers = np.union1d(numbers, _integers(number for (number,) in named))
        return np.sort(numbers)


def _words(text: str) -> list[str]:
    # NUL would end the query in SQLite's eyes, and a lone surrogate can't be sent at all.
    plain = text[:LONGEST_SEARCH].replace("\0", " ")
    plain = plain.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return list(dict.fromkeys(plain.split()))[:MOST_WORDS]


def _trigrams(word: str) -> list[str]:
    return [word[i : i + _TRIGRAM] for i in range(len(word) - _TRIGRAM + 1)][:MOST_TRIGRAMS]


def _quoted(part: str) -> str:
    return '"' + part.replace('"', '""') + '"'


def _condition(word: str) -> tuple[str, list[str]]:
    """Return the SQL that says whether a text holds a word, and its values."""
    if word.isascii() or word.lower() == word.upper():  # what SQLite's LIKE can compare
        escaped = re.sub(r"([\\%_])", r"\\\1", word)
        like = f"%{escaped}%"
        return "(samples.prompt LIKE ? ESCAPE '\\' OR samples.answer LIKE ? ESCAPE '\\')", [
            like,
            like,
        ]
    return "(holds(samples.prompt, ?) OR holds(samples.answer, ?))", [word, word]


def _holds(text: str, word: str) -> bool:
    return word.lower() in text.lower()


def _integers(values: Iterable[object]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)
