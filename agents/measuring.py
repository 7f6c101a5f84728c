"""Score many conversations with one model, batch by batch, so that a kill loses one batch.

Conversations are streamed, a few thousand at a time. The plan of a chunk's batches is stored before
its first pass and each finished batch is committed whole: a resumed run fills in the missing
batches with the same neighbours in them, and so gets the same numbers.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.errors import Interrupted
from ..core.ids import short_hash
from ..core.measures import Ask, Item, Measured
from ..core.records import Sample
from ..stores.facts import Facts
from ..stores.scores import Scores
from ..stores.shared import SharedScores

Advance = Callable[[int, int, float | None], None]

CHUNK_ROWS = 4096
"""Conversations held in memory and planned at a time. Batches are filled from rows of similar
length, and among so many nearly every row finds its like."""


class Conversations(Protocol):
    """Samples or items that can be counted and streamed: a version of a data set, or a list."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __iter__(self) -> Iterator[Sample | Item]:
        """Yield them, in the same order each time."""
        ...


class Scorer(Protocol):
    """One model that measures conversations; `training.scorer.Scorer` is the real one."""

    def plan(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[list[int]]:
        """Return batches of indices, the same for the same items."""
        ...

    def score(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        """Measure one batch, in order."""
        ...

    def count_tokens(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[int]:
        """Return the tokens to compute per item; 0 where it can't be measured."""
        ...

    def cost(self) -> dict[str, Any]:
        """Return what the passes of this process took, as JSON types; `splits` among it."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


class Measuring:
    """A scorer with the memory of what it has measured.

    `model_key` names everything that the numbers depend on beside the conversation.
    """

    def __init__(
        self,
        scorer: Scorer,
        model_key: str,
        *,
        scores: Scores,
        facts: Facts,
        should_stop: Callable[[], bool],
        shared: SharedScores | None = None,
        given: Sequence[Scores] = (),
    ) -> None:
        """Use an open scorer and the run's stores.

        Args:
            scorer: the model.
            model_key: of the model.
            scores: the run's measurements.
            facts: where plans are kept.
            should_stop: asked before every batch.
            shared: losses that runs share; only for a base model. Passes that measure more than
                the loss are never shared.
            given: of other runs, whose measurements with the same model are taken over.
        """
        self.scorer = scorer
        self._model_key = model_key
        self._scores = scores
        self._facts = facts
        self._should_stop = should_stop
        self._shared = shared
        self._given = given

    def measure(
        self,
        stage: str,
        rows: Conversations,
        asks: frozenset[Ask] = frozenset(),
        advance: Advance = lambda done, total, eta: None,
        *,
        wider: Sequence[frozenset[Ask]] = (),
    ) -> dict[str, Measured]:
        """Return the measurement of every row by sample id or key, without embeddings.

        `embeddings` returns those. What is held in memory is a few hundred bytes per row.

        Args:
            stage: a name for this piece of work, unique within the run, such as `round.0.tuned`.
            rows: what to score, in the same order each time; several with one key count once.
            asks: what to measure beside the answer's loss.
            advance: told rows done, rows in all, and seconds left.
            wider: asks with which some rows may be measured already; where they hold all of `asks`,
                those rows are not measured again. The first of several counts for a row.

        Raises:
            Interrupted: the run was asked to stop; finished batches are kept.
        """
        model, found = self._model(asks), dict[str, Measured]()
        shared = None if asks else self._shared
        started, fresh_rows, total = time.monotonic(), 0, len(rows)
        for number, items in enumerate(_chunks(rows)):
            by_key = {item.key: item for item in items if item.key not in found}
            known = self._scores.known(model, by_key)
            plan = self._plan(f"plan.{stage}.{number}", by_key, known, asks, shared, wider)
            for batch in plan:
                if all(key in known for key in batch):
                    continue
                if self._should_stop():
                    done = len(found) + len(known)
                    raise Interrupted(f"stopped while scoring ({done} of {total} rows)")
                measured = self.scorer.score([by_key[key] for key in batch], asks)
                fresh = dict(zip(batch, measured, strict=True))
                self._scores.add(model, fresh)
                if shared is not None:
                    shared.add(model, fresh)
                known.update((key, replace(one, embedding=None)) for key, one in fresh.items())
                fresh_rows += len(batch)
                done = len(found) + len(known)
                left = (time.monotonic() - started) / fresh_rows * (total - done)
                advance(done, total, left)
            found.update((key, known[key]) for key in by_key)
        return found

    def embeddings(
        self, ids: Sequence[str], asks: frozenset[Ask]
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return the embeddings that `measure` left under the same `asks`, where there is one.

        Returns:
            Their ids, in the order asked for, and float32[n, d].
        """
        return self._scores.vectors(self._model(asks), ids)

    def _model(self, asks: frozenset[Ask]) -> str:
        return short_hash([self._model_key, sorted(asks)])

    def _plan(
        self,
        name: str,
        by_key: dict[str, Item],
        known: dict[str, Measured],
        asks: frozenset[Ask],
        shared: SharedScores | None,
        wider: Sequence[frozenset[Ask]],
    ) -> list[list[str]]:
        """Return the chunk's batches, as they were stored or now for what is not `known`.

        A plan that lacks rows which are not known is made anew: an older version stored it for
        other asks, under which it knew them.

        What other runs or wider passes measured is looked up here, and nowhere else, and becomes
        the run's own before the plan is stored: what stands there later moves no batch.
        """
        stored: list[list[str]] | None = self._facts.get(name)
        if stored is not None and by_key.keys() <= known.keys() | set(chain(*stored)):
            return stored
        model = self._model(asks)
        if others := [more for more in wider if more > asks]:
            for more in others:
                self._scores.adopt(model, self._model(more), by_key)
            known.update(self._scores.known(model, by_key))
        missing = [key for key in sorted(by_key) if key not in known]
        if self._given:
            for scores in self._given:
                self._scores.take(scores, model, missing)
            known.update(self._scores.known(model, missing))
            missing = [key for key in missing if key not in known]
        if shared is not None and (hits := shared.known(model, missing)):
            self._scores.add(model, hits)
            known.update(hits)
            missing = [key for key in missing if key not in hits]
        items = [by_key[key] for key in missing]
        indices = self.scorer.plan(items, asks) if items else []
        stored = [[missing[i] for i in batch] for batch in indices]
        self._facts.put(name, stored)
        return stored


def _chunks(rows: Conversations) -> Iterator[list[Item]]:
    found = iter(rows)
    while chunk := list(islice(found, CHUNK_ROWS)):
        yield [row if isinstance(row, Item) else Item(row.id, row.messages) for row in chunk]
