"""What was measured once is never measured again, and a resumed run has the same batches."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from middo.agents import measuring as module
from middo.agents.measuring import Measuring
from middo.core.errors import Interrupted
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Message, Sample, sample_id
from middo.stores.database import Database, open_database
from middo.stores.facts import Facts
from middo.stores.scores import Scores
from middo.stores.shared import SharedScores


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

    def count_tokens(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[int]:
        return [1] * len(items)

    def cost(self) -> dict[str, Any]:
        return {}

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
    shared: SharedScores | None = None,
    given: Sequence[Scores] = (),
) -> Measuring:
    return Measuring(
        scorer,
        model,
        scores=Scores(database),
        facts=Facts(database),
        should_stop=should_stop,
        shared=shared,
        given=given,
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
    with_chunk_number = Facts(database).get("plan.s.0")
    assert with_chunk_number == [["row00", "row01", "row02"], ["row03", "row04"]]
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
    asks: frozenset[Ask] = frozenset({"embedding"})
    assert one.measure("embedded", rows(2), asks)["row00"].embedding is None
    ids, vectors = one.embeddings(["row01", "row00"], asks)
    assert ids == ["row01", "row00"]
    assert vectors.tolist() == [[1.0, 0.0]] * 2
    assert vectors.dtype == np.float32
    assert one.embeddings(["row00"], frozenset())[0] == []
    measuring(database, scorer, model="tuned").measure("tuned", rows(2))
    assert scorer.batches == [["row00", "row01"]] * 3


def test_rows_of_a_wider_pass_are_taken_over_with_their_embeddings(database: Database) -> None:
    wide: frozenset[Ask] = frozenset({"embedding", "alone"})
    narrow: frozenset[Ask] = frozenset({"embedding"})
    first = measuring(database, WordCounter()).measure("wide", rows(2), wide)
    scorer = WordCounter()
    again = measuring(database, scorer)
    found = again.measure("narrow", rows(4), narrow, wider=[wide])
    assert scorer.batches == [["row02", "row03"]]
    assert {key: found[key] for key in first} == first
    ids, vectors = again.embeddings(["row00", "row03"], narrow)
    assert ids == ["row00", "row03"] and vectors.shape == (2, 2)
    # Another wish is no narrower one, and what is taken over later moves no stored batch.
    other = WordCounter()
    measuring(database, other).measure("plain", rows(2))
    assert other.batches == [["row00", "row01"]]


def test_rows_of_several_wider_passes_are_taken_over(database: Database) -> None:
    wide: list[frozenset[Ask]] = [frozenset({"embedding", "ratings"}), frozenset({"embedding"})]
    none: frozenset[Ask] = frozenset()
    first = measuring(database, WordCounter())
    expected = first.measure("rated", rows(3), wide[0]) | first.measure("rest", rows(1, 3), wide[1])
    scorer = WordCounter()
    found = measuring(database, scorer).measure("all", rows(5), none, wider=wide)
    assert scorer.batches == [["row04"]]
    assert {key: found[key] for key in expected} == expected


def test_items_of_one_key_count_once_and_none_are_fine(database: Database) -> None:
    scorer = WordCounter()
    found = measuring(database, scorer).measure("s", [*rows(2), *rows(1)])
    assert scorer.batches == [["row00", "row01"]]
    assert sorted(found) == ["row00", "row01"]
    assert measuring(database, scorer).measure("empty", []) == {}


def test_progress_counts_what_was_known_as_done(database: Database) -> None:
    with pytest.raises(Interrupted):
        measuring(database, WordCounter(), after(1)).measure("s", rows(8))
    seen: list[tuple[int, int]] = []
    measuring(database, WordCounter()).measure(
        "s", rows(8), advance=lambda done, total, eta: seen.append((done, total))
    )
    assert seen == [(6, 8), (8, 8)]


def test_samples_are_measured_under_their_ids(database: Database) -> None:
    messages = (Message("user", "a"), Message("assistant", "b"))
    sample = Sample(sample_id(messages) + "-2", messages, "x:1")
    found = measuring(database, WordCounter()).measure("s", [sample])
    assert found == {sample.id: Measured(1, 1, 2.02)}


class Stream:
    """Rows that are made one by one and counted while they are looked at."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Item]:
        for number in range(self.count):
            self.read += 1
            yield from rows(1, first=number)


@pytest.fixture
def chunks_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 4)


@pytest.mark.usefixtures("chunks_of_four")
def test_rows_are_streamed_in_chunks_that_are_planned_one_by_one(database: Database) -> None:
    scorer, stream = WordCounter(), Stream(10)
    with pytest.raises(Interrupted, match=r"\(4 of 10 rows\)"):
        measuring(database, scorer, after(2)).measure("s", stream)
    assert stream.read == 8
    assert scorer.batches == [["row00", "row01", "row02"], ["row03"]]
    assert sorted(Facts(database).under("plan.s")) == ["0", "1"]


@pytest.mark.usefixtures("chunks_of_four")
def test_a_scoring_resumed_in_a_later_chunk_ends_as_if_undisturbed(database: Database) -> None:
    undisturbed = WordCounter()
    expected = measuring(database, undisturbed, model="other").measure("whole", Stream(10))
    for calls in (1, 1, 2):  # each session does no more than so many batches
        with pytest.raises(Interrupted):
            measuring(database, WordCounter(), after(calls)).measure("s", Stream(10))
    resumed = WordCounter(size=100)
    assert measuring(database, resumed).measure("s", Stream(10)) == expected
    # The third chunk had no plan yet; the second one's stands.
    assert resumed.batches == [["row08", "row09"]]
    assert undisturbed.batches[-1] == ["row08", "row09"]


@pytest.mark.usefixtures("chunks_of_four")
def test_a_key_that_comes_again_in_another_chunk_counts_once(database: Database) -> None:
    scorer = WordCounter()
    found = measuring(database, scorer).measure("s", [*rows(5), *rows(3)])
    assert len(found) == 5
    assert sorted(sum(scorer.batches, [])) == sorted(found)


class Cache:
    """A run folder's database and a cache that several of them share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []

    def run(
        self,
        name: str,
        scorer: WordCounter,
        items: list[Item],
        model: str = "base",
        should_stop: Callable[[], bool] = lambda: False,
        asks: frozenset[Ask] = frozenset(),
    ) -> dict[str, Measured]:
        database = open_database(self.folder / f"{name}.db")
        shared = SharedScores(self.folder / "cache" / "scores.db", self.notes.append)
        try:
            one = measuring(database, scorer, should_stop, model, shared)
            return one.measure("base", items, asks)
        finally:
            shared.close()
            database.close()


def test_a_second_run_scores_no_row_of_the_first(tmp_path: Path) -> None:
    cache, scorer = Cache(tmp_path), WordCounter()
    first = cache.run("one", scorer, rows(5))
    again = WordCounter()
    assert cache.run("two", again, rows(5)) == first
    assert again.batches == again.plans == []
    more = WordCounter()
    assert {key: cache.run("three", more, rows(7))[key] for key in first} == first
    assert more.batches == [["row05", "row06"]]
    assert cache.notes == []


def test_another_model_dtype_or_template_is_another_key(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.run("one", WordCounter(), rows(3))
    other = WordCounter()
    cache.run("two", other, rows(3), model="base in bfloat16")
    assert other.batches == [["row00", "row01", "row02"]]


def test_a_copy_of_a_row_is_measured_under_its_own_id(tmp_path: Path) -> None:
    cache, scorer = Cache(tmp_path), WordCounter()
    cache.run("one", scorer, rows(1))
    copy = Item("row00-2", rows(1)[0].messages)
    cache.run("two", scorer, [*rows(1), copy])
    assert scorer.batches == [["row00"], ["row00-2"]]


def test_only_plain_losses_are_shared(tmp_path: Path) -> None:
    cache, scorer = Cache(tmp_path), WordCounter()
    cache.run("one", scorer, rows(2), asks=frozenset({"alone"}))
    cache.run("two", scorer, rows(2), asks=frozenset({"alone"}))
    assert len(scorer.batches) == 2


def test_what_other_runs_add_later_moves_no_batch_of_a_resumed_run(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.run("earlier", WordCounter(), rows(2))
    with pytest.raises(Interrupted):
        cache.run("one", WordCounter(), rows(8), should_stop=after(1))
    cache.run("meanwhile", WordCounter(size=1), rows(8))
    resumed = WordCounter()
    found = cache.run("one", resumed, rows(8))
    assert resumed.batches == [["row05", "row06", "row07"]]
    assert found["row05"].loss == 7 + (7 + 8 + 9) / 100


def test_a_broken_cache_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "scores.db").write_bytes(b"broken" * 200)
    cache, scorer = Cache(tmp_path), WordCounter()
    assert sorted(cache.run("one", scorer, rows(4))) == ["row00", "row01", "row02", "row03"]
    assert len(scorer.batches) == 2
    assert len(cache.notes) == 1
    assert "goes on without it" in cache.notes[0]


def test_what_given_runs_measured_is_taken_over_with_its_embedding(
    database: Database, tmp_path: Path
) -> None:
    asks: frozenset[Ask] = frozenset({"embedding"})
    earlier = open_database(tmp_path / "earlier.db")
    first = measuring(earlier, WordCounter()).measure("s", rows(3), asks)
    scorer = WordCounter()
    later = measuring(database, scorer, given=[Scores(earlier)])
    found = later.measure("s", rows(5), asks)
    earlier.close()
    assert scorer.batches == [["row03", "row04"]]
    assert {key: found[key] for key in first} == first
    ids, vectors = later.embeddings(["row00", "row04"], asks)
    assert (ids, vectors.shape) == (["row00", "row04"], (2, 2))


def _model(database: Database) -> str:
    ((name,),) = database.query("SELECT DISTINCT model FROM scores")
    return str(name)


def test_a_plan_that_lacks_rows_is_made_anew(database: Database) -> None:
    """As in a run begun by a version that asked for less in the same stage."""
    one = measuring(database, WordCounter())
    one.measure("s", rows(2))
    Facts(database).put("plan.s.0", [["row01"]])
    scorer = WordCounter()
    asks: frozenset[Ask] = frozenset({"embedding"})
    found = measuring(database, scorer).measure("s", rows(2), asks)
    assert list(found) == ["row00", "row01"]
    assert scorer.batches == [["row00", "row01"]]
