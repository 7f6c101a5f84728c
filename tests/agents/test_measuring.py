"""What was measured once is never measured again, and a resumed run has the same batches."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from middo.agents.measuring import Measuring, items_of
from middo.core.errors import Interrupted
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Message, Sample, sample_id
from middo.stores.database import Database, open_database
from middo.stores.facts import Facts
from middo.stores.scores import Scores


class WordCounter:
    """A scorer whose loss tells the text and its company: its words, and the batch's words."""

    def __init__(self, size: int = 3) -> None:
        self.size = size
        self.batches: list[list[str]] = []
        self.plans: list[list[str]] = []

    def plan(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[list[int]]:
        self.plans.append([item.key for item in items])
        indices = range(len(items))
        return [list(indices[at : at + self.size]) for at in range(0, len(items), self.size)]

    def score(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        self.batches.append([item.key for item in items])
        words = [sum(len(message.content.split()) for message in item.messages) for item in items]
        embedding = (1.0, 0.0) if "embedding" in asks else None
        return [Measured(1, 1, count + sum(words) / 100, embedding=embedding) for count in words]

    def close(self) -> None:
        pass


def rows(count: int, first: int = 0) -> list[Item]:
    found = []
    for number in range(first, first + count):
        messages = (Message("user", "a " * (number + 1)), Message("assistant", "b"))
        found.append(Item(f"row{number:02d}", messages))
    return found


def after(calls: int) -> Callable[[], bool]:
    """Return a wish to stop that comes after so many questions."""
    asked = iter(range(calls))
    return lambda: next(asked, None) is None


def measuring(
    database: Database,
    scorer: WordCounter,
    should_stop: Callable[[], bool] = lambda: False,
    model: str = "model",
) -> Measuring:
    return Measuring(
        scorer, model, scores=Scores(database), facts=Facts(database), should_stop=should_stop
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def test_batches_are_planned_in_order_of_id(database: Database) -> None:
    scorer = WordCounter()
    items = rows(5)
    found = measuring(database, scorer).measure("s", [items[i] for i in (3, 0, 4, 1, 2)])
    assert scorer.batches == [["row00", "row01", "row02"], ["row03", "row04"]]
    assert list(found) == ["row03", "row00", "row04", "row01", "row02"]
    assert found["row00"].loss == 2 + (2 + 3 + 4) / 100
    assert found["row04"].loss == 6 + (5 + 6) / 100


def test_nothing_known_is_scored_again(database: Database) -> None:
    first = measuring(database, WordCounter()).measure("first", rows(4))
    scorer = WordCounter()
    again = measuring(database, scorer).measure("second", rows(6))
    assert scorer.batches == [["row04", "row05"]]
    assert {key: again[key] for key in first} == first
    measuring(database, scorer).measure("third", rows(6))
    assert len(scorer.batches) == 1


def test_an_interrupted_scoring_keeps_its_finished_batches(database: Database) -> None:
    scorer = WordCounter()
    with pytest.raises(Interrupted, match=r"stopped while scoring \(6 of 8 rows\)"):
        measuring(database, scorer, after(2)).measure("s", rows(8))
    assert len(scorer.batches) == 2
    assert sorted(Scores(database).known(_model(database), [r.key for r in rows(8)])) == [
        f"row{n:02d}" for n in range(6)
    ]


def test_a_resumed_scoring_fills_in_the_missing_batches_as_they_were(database: Database) -> None:
    undisturbed = WordCounter()
    expected = measuring(database, undisturbed, model="other").measure("whole", rows(8))
    with pytest.raises(Interrupted):
        measuring(database, WordCounter(), after(1)).measure("s", rows(8))
    resumed = WordCounter(size=100)  # another machine's idea of a batch must not matter
    assert measuring(database, resumed).measure("s", rows(8)) == expected
    assert resumed.batches == undisturbed.batches[1:]
    assert resumed.plans == []


def test_what_another_stage_measured_since_does_not_change_the_batches(database: Database) -> None:
    with pytest.raises(Interrupted):
        measuring(database, WordCounter(), after(1)).measure("s", rows(8))
    measuring(database, WordCounter()).measure("other", rows(1, first=4))
    scorer = WordCounter()
    measuring(database, scorer).measure("s", rows(8))
    assert scorer.batches == [["row03", "row04", "row05"], ["row06", "row07"]]


def test_other_questions_and_other_models_are_measured_anew(database: Database) -> None:
    scorer = WordCounter()
    one = measuring(database, scorer)
    assert one.measure("plain", rows(2))["row00"].embedding is None
    asked = one.measure("embedded", rows(2), frozenset({"embedding"}))
    assert asked["row00"].embedding == (1.0, 0.0)
    measuring(database, scorer, model="tuned").measure("tuned", rows(2))
    assert scorer.batches == [["row00", "row01"]] * 3


def test_items_of_one_key_count_once_and_none_are_fine(database: Database) -> None:
    scorer = WordCounter()
    found = measuring(database, scorer).measure("s", [*rows(2), *rows(1)])
    assert scorer.batches == [["row00", "row01"]]
    assert sorted(found) == ["row00", "row01"]
    assert measuring(database, scorer).measure("empty", []) == {}


def test_progress_counts_what_is_left_to_do(database: Database) -> None:
    with pytest.raises(Interrupted):
        measuring(database, WordCounter(), after(1)).measure("s", rows(8))
    seen: list[tuple[int, int]] = []
    measuring(database, WordCounter()).measure(
        "s", rows(8), advance=lambda done, total, eta: seen.append((done, total))
    )
    assert seen == [(3, 5), (5, 5)]


def test_samples_become_items_under_their_ids() -> None:
    messages = (Message("user", "a"), Message("assistant", "b"))
    sample = Sample(sample_id(messages) + "-2", messages, "x:1")
    assert items_of([sample]) == [Item(sample.id, messages)]


def _model(database: Database) -> str:
    ((name,),) = database.query("SELECT DISTINCT model FROM scores")
    return str(name)
