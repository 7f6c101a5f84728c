"""Facts last, keep their JSON types, and some of them may be said only once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from middo.core.errors import MiddoError
from middo.stores.database import Database, open_database
from middo.stores.facts import Facts

VALUE = {"b": [1, None, 0.1], "a": {"é": "🙂"}, "on": True}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def test_a_fact_outlives_its_process(tmp_path: Path) -> None:
    first = open_database(tmp_path / "ledger.db")
    Facts(first).put("round.0.training", VALUE)
    first.close()
    second = open_database(tmp_path / "ledger.db")
    assert Facts(second).get("round.0.training") == VALUE
    second.close()


def test_a_missing_fact_is_its_default(database: Database) -> None:
    facts = Facts(database)
    assert facts.get("nothing") is None
    assert facts.get("nothing", {"a": 1}) == {"a": 1}


def test_put_replaces_and_put_once_does_not(database: Database) -> None:
    facts = Facts(database)
    facts.put("a", 1)
    facts.put("a", 2)
    assert facts.get("a") == 2
    assert facts.put_once("a", 3) == 2
    assert facts.put_once("b", None) is None
    assert facts.put_once("b", 4) is None
    assert facts.get("b") is None


@pytest.mark.parametrize(
    ("value", "default"),
    [(None, {}), ("x", 0), (True, 0.0), ([], {}), ({}, []), (7, {}), (1.5, "")],
)
def test_a_fact_of_another_type_than_its_default_is_one_line(
    database: Database, value: object, default: object
) -> None:
    facts = Facts(database)
    facts.put("round.0.times", value)
    with pytest.raises(MiddoError, match=r"ledger\.db: .* round\.0\.times is a") as refused:
        facts.get("round.0.times", default)
    assert "\n" not in str(refused.value)
    assert facts.get("round.0.times") == value
    assert Facts(database).get("round.0.rows", 0.5) == 0.5


def test_a_whole_number_stands_for_seconds(database: Database) -> None:
    facts = Facts(database)
    facts.put("seconds", 5)
    assert facts.get("seconds", 0.0) == 5


def test_the_facts_of_a_round_are_not_those_of_the_tenth(database: Database) -> None:
    facts = Facts(database)
    for name in ("round.1.gate", "round.1.times.train", "round.10.gate", "round.1", "round_1.x"):
        facts.put(name, name)
    assert facts.under("round.1") == {"gate": "round.1.gate", "times.train": "round.1.times.train"}


def test_what_json_can_not_say_is_refused_whole(database: Database) -> None:
    facts = Facts(database)
    facts.put("a", 1.0)
    with pytest.raises(ValueError, match="JSON"):
        facts.put("a", float("nan"))
    assert facts.get("a") == 1.0
    facts.put("b", 2)  # the refused one left no transaction open
    assert facts.get("b") == 2
