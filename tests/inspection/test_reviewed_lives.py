"""A life says what people decided: in its record, its ending, the terminal and the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from middo.cli.life_text import life_text
from middo.core.records import Axis
from middo.inspection.lives import life
from middo.inspection.record import Record, open_record
from middo.stores.database import open_database
from middo.stores.reviews import Reviews, Word
from middo.viewer.pages.sample import context

from .folder import Folder, numbered, proposal, rewritten

A, B, C = numbered(3)
A1 = rewritten(A, "Question 0, clearer", "Answer 0, whole.", 0)
A2 = rewritten(A, "Question 0, clearer", "Answer 0, whole and <b>right</b>.", 0)
B1 = rewritten(B, "Question 1, clearer", "Answer 1, whole.", 0)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    """A's proposal was edited after it had been accepted, B's was refused by a person."""
    folder = Folder(tmp_path / "run")
    folder.dataset(0, [A, B, C], gate="baseline")
    folder.diagnosis(
        0,
        {"quality": {A.id: 0.1, B.id: 0.2, C.id: 0.9}},
        [(A.id, Axis.QUALITY, "broken"), (B.id, Axis.QUALITY, "broken")],
    )
    for parent, made in ((A, A1), (B, B1)):
        tried = [proposal(parent, made, Axis.QUALITY, "accepted")]
        folder.outcome(0, parent, Axis.QUALITY, "accepted", proposals=tried)
    edit = (A2.prompt, A2.answer, "a word was missing")
    words = [
        Word(0, A.id, A1.id, "accept", None, None, "", "ada", 1.0),
        Word(0, A.id, A1.id, "edit", *edit, "ada", 2.0),
        Word(0, B.id, B1.id, "reject", None, None, "it was fine", "bo", 3.0),
    ]
    database = open_database(folder.path / "ledger.db")
    Reviews(database).add(words)
    database.close()
    reason = "review: it was fine"
    folder.fates(0, {A.id: ("accepted", "review: edited by ada"), B.id: ("rejected", reason)})
    folder.dataset(1, [A2, B, C])
    opened = open_record(folder.path)
    yield opened
    opened.close()


def test_every_word_is_kept_and_the_last_one_tells_the_ending(record: Record) -> None:
    edited, refused, untouched = (life(record, one.id) for one in (A, B, C))
    assert [word.decision for word in edited.rounds[0].words] == ["accept", "edit"]
    assert edited.ending.startswith("rewritten for quality in round 0, edited by a person")
    assert refused.rounds[0].fate == "rejected"
    assert refused.ending.startswith("flagged for quality in round 0, a person kept the original")
    assert untouched.rounds[0].words == ()


def test_the_terminal_shows_the_edit_against_the_proposal(record: Record) -> None:
    text = life_text(life(record, A.id), colour=False)
    assert "accepted by ada" in text and "edited by ada" in text
    assert "a word was missing" in text
    edit = text.split("The edit, against the proposal")[1]
    assert "and <b>right</b>" in edit and "{+" in edit
    assert "The edit" not in life_text(life(record, B.id), colour=False)


def test_the_page_shows_words_and_edit(record: Record) -> None:
    first = context(record, A.id)["rounds"][0]
    assert [line.split(",")[0] for line in first["words"]] == ["accepted by ada", "edited by ada"]
    answer = first["edit"][-1]
    assert answer["text"] == A2.answer
    assert {piece.kind for piece in answer["pieces"]} >= {"same", "added"}
    refused = context(record, B.id)["rounds"][0]
    assert refused["edit"] == [] and "it was fine" in refused["words"][0]
