"""What waits for a person, as pages and the terminal show it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from middo.core.records import Axis
from middo.inspection.record import Record, open_record
from middo.inspection.reviews import review_of, waiting
from middo.stores.database import open_database
from middo.stores.facts import Facts
from middo.stores.reviews import Reviews, Tally, Word, review_fact
from tests.paused import paused_run


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    """A run in which two words were said on bb33."""
    folder = paused_run(tmp_path)
    database = open_database(folder / "ledger.db")
    said = [Word(0, "bb33", "p", "accept", None, None, "", "ada", 1.0)]
    said.append(Word(0, "bb33", "p", "reject", None, None, "no river", "bo", 2.0))
    Reviews(database).add(said)
    database.close()
    record = open_record(folder)
    yield record
    record.close()


def test_what_waits_is_shown_with_what_the_gates_said(record: Record) -> None:
    one, other = waiting(record)
    assert other.sample_id == "ab22"
    assert (one.round, one.sample_id, one.axis, one.adds) == (0, "aa11", Axis.QUALITY, False)
    assert one.flagged == ("quality: reads like a broken one",)
    assert (one.old[-1].content, one.new[-1].content) == ("aa11 runs.", "The Aare.")
    assert one.source == "f.jsonl:1"
    assert one.gates == (
        "attempt 2: 1 of 2 checks passed",
        "quotes: A quote is gone.",
        "critic: accept: Fine now.",
        "proof.quality: passed: loss 2.136 (at least 1.2877, at most 4.1616);"
        " quality 0.7682 (at least 0.627, original 0.2953)",
    )


def test_the_word_that_counts_comes_with_those_before(record: Record) -> None:
    found = review_of(record, 0, "bb33")
    assert found is not None
    assert (found["decision"], found["reason"], found["reviewer"]) == ("reject", "no river", "bo")
    assert [word["decision"] for word in found["earlier"]] == ["accept"]
    assert review_of(record, 0, "aa11") is None


def test_nothing_waits_once_the_review_is_closed(record: Record) -> None:
    database = open_database(record.folder / "ledger.db")
    Facts(database).put(review_fact(0), Tally(3, 0, 1, 0).as_dict(open=False))
    database.close()
    assert waiting(record) == []
