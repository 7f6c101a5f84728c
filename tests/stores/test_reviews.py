import sqlite3
from pathlib import Path

from middo.core.records import Axis, Fate
from middo.stores.database import MIGRATIONS, open_database, read_database
from middo.stores.facts import Facts
from middo.stores.ledger import Ledger, Outcome
from middo.stores.reviews import Decision, Reviews, Tally, Word, review_fact


def word(name: str, decision: Decision, at: float = 1.0, round: int = 0) -> Word:
    edited = "text" if decision == "edit" else None
    checks = [{"name": "length", "passed": False}] if decision == "edit" else []
    return Word(round, name, "p" + name, decision, edited, edited, "why", "ada", at, checks)


def outcome(name: str, fate: Fate) -> Outcome:
    return Outcome(0, name, Axis.QUALITY, fate, "", [])


def test_every_word_is_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    reviews = Reviews(database)
    said = [word("a", "accept", 9.0), word("b", "edit"), word("a", "reject", 2.0)]
    reviews.add(said)
    reviews.add([word("a", "accept", round=1)])
    assert reviews.words(0) == said
    assert reviews.words(0, "a") == [said[0], said[2]]
    assert reviews.standing(0) == {"a": said[2], "b": said[1]}
    database.close()


def test_the_tally_counts_proposals_that_passed_every_gate(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    Ledger(database).add_outcomes(
        [*(outcome(name, "accepted") for name in "abcde"), outcome("f", "rejected")]
    )
    reviews = Reviews(database)
    reviews.add([word("a", "accept"), word("b", "edit"), word("c", "reject"), word("f", "accept")])
    reviews.add([word("c", "accept")])
    tally = reviews.tally(0)
    assert (tally, tally.undecided) == (Tally(5, 2, 0, 1), 2)
    assert tally.as_dict(open=True)["undecided"] == 2
    database.close()


def test_the_open_round_is_the_latest_where_its_review_is_open(tmp_path: Path) -> None:
    database = open_database(tmp_path / "ledger.db")
    reviews, facts = Reviews(database), Facts(database)
    assert reviews.open_round() is None
    facts.put("rounds_seen", 2)
    facts.put(review_fact(0), Tally(1, 0, 0, 0).as_dict(open=True))
    assert reviews.open_round() is None
    facts.put(review_fact(1), Tally(1, 0, 0, 0).as_dict(open=True))
    assert reviews.open_round() == 1
    facts.put(review_fact(1), Tally(1, 1, 0, 0).as_dict(open=False))
    assert reviews.open_round() is None
    database.close()


def test_a_run_of_an_older_schema_has_no_words(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    for migration in MIGRATIONS[:5]:
        migration(connection)
    connection.execute("PRAGMA user_version=5")
    connection.commit()
    connection.close()
    database = read_database(path)
    assert Reviews(database).words(0) == []
    database.close()
