"""The hold-out under one model: rows in order of id, the unscored counted."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from middo.agents.evaluator import Holdout, HoldoutRow, evaluate, holdout_from
from middo.agents.measuring import Measuring
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Message, Sample
from middo.stores.database import Database, open_database
from middo.stores.facts import Facts
from middo.stores.scores import Scores


class Lengths:
    """A scorer: an answer's loss is its number of words; a long one can't be scored."""

    def plan(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[list[int]]:
        return [[i] for i in range(len(items))]

    def score(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        counts = [len(item.messages[-1].content.split()) for item in items]
        return [
            Measured(unscored="too_long") if count > 3 else Measured(count, 1, float(count))
            for count in counts
        ]

    def count_tokens(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[int]:
        return [1] * len(items)

    def cost(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def holdout(database: Database, answers: dict[str, str]) -> Holdout:
    samples = [
        Sample(name, (Message("user", "q"), Message("assistant", answer)), "x:1")
        for name, answer in answers.items()
    ]
    measuring = Measuring(
        Lengths(),
        "model",
        scores=Scores(database),
        facts=Facts(database),
        should_stop=lambda: False,
    )
    return evaluate(measuring, "holdout", samples, lambda done, total, eta: None)


def test_rows_come_in_order_of_id_and_the_unscored_are_counted(database: Database) -> None:
    found = holdout(database, {"c": "one two", "a": "one two three", "b": "one two three four"})
    assert found == Holdout((HoldoutRow("a", 3.0, 3), HoldoutRow("c", 2.0, 2)), 1)
    assert found.losses == [3.0, 2.0]
    assert found.tokens == [3, 2]


def test_an_empty_holdout_is_one_without_rows(database: Database) -> None:
    assert holdout(database, {}) == Holdout((), 0)


def test_rows_that_are_set_aside_are_left_out_and_the_rest_keeps_its_order() -> None:
    rows = tuple(HoldoutRow(name, 1.0, 2) for name in "abcd")
    left = Holdout(rows, 3).without(frozenset({"b", "d", "z"}))
    assert [row.id for row in left.rows] == ["a", "c"]
    assert left.unscored == 3


def test_a_holdout_goes_through_json() -> None:
    found = Holdout((HoldoutRow("a", 1.25, 4),), 2)
    assert holdout_from(found.as_dict()) == found
