"""Score many conversations with one model, batch by batch, so that a kill loses one batch.

The plan of batches is stored before the first pass and each finished batch is committed whole: a
resumed run fills in the missing batches with the same neighbours in them, and so gets the same
numbers.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..core.errors import Interrupted
from ..core.ids import short_hash
from ..core.measures import Ask, Item, Measured
from ..core.records import Sample
from ..stores.facts import Facts
from ..stores.scores import Scores

Advance = Callable[[int, int, float | None], None]


class Scorer(Protocol):
    """One model that measures conversations; `training.scorer.Scorer` is the real one."""

    def plan(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[list[int]]:
        """Return batches of indices, the same for the same items."""
        ...

    def score(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        """Measure one batch, in order."""
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
    ) -> None:
        """Use an open scorer and the run's stores."""
        self.scorer = scorer
        self._model_key = model_key
        self._scores = scores
        self._facts = facts
        self._should_stop = should_stop

    def measure(
        self,
        stage: str,
        items: Sequence[Item],
        asks: frozenset[Ask] = frozenset(),
        advance: Advance = lambda done, total, eta: None,
    ) -> dict[str, Measured]:
        """Return the measurement of every item by key.

        Args:
            stage: a name for this piece of work, unique within the run, such as `round.0.tuned`.
            items: what to score; several items with one key count once.
            asks: what to measure beside the answer's loss.
            advance: told rows done, rows in all, and seconds left.

        Raises:
            Interrupted: the run was asked to stop; finished batches are kept.
        """
        by_key = {item.key: item for item in items}
        model = short_hash([self._model_key, sorted(asks)])
        known = self._scores.known(model, by_key)
        plan = self._plan(stage, by_key, known, asks)
        todo = [batch for batch in plan if any(key not in known for key in batch)]
        started, done, total = time.monotonic(), 0, sum(map(len, todo))
        for batch in todo:
            if self._should_stop():
                raise Interrupted(f"stopped while scoring ({done} of {total} rows)")
            measured = self.scorer.score([by_key[key] for key in batch], asks)
            fresh = dict(zip(batch, measured, strict=True))
            self._scores.add(model, fresh)
            known.update(fresh)
            done += len(batch)
            advance(done, total, (time.monotonic() - started) / done * (total - done))
        return {key: known[key] for key in by_key}

    def _plan(
        self, stage: str, by_key: dict[str, Item], known: Iterable[str], asks: frozenset[Ask]
    ) -> list[list[str]]:
        done = set(known)
        missing = [by_key[key] for key in sorted(by_key) if key not in done]
        name = f"plan.{stage}"
        stored: list[list[str]] | None = self._facts.get(name)
        if stored is None:
            indices = self.scorer.plan(missing, asks)
            stored = [[missing[i].key for i in batch] for batch in indices]
            self._facts.put(name, stored)
        return stored


def items_of(samples: Iterable[Sample]) -> list[Item]:
    """Return samples as items, keyed by their ids."""
    return [Item(sample.id, sample.messages) for sample in samples]
