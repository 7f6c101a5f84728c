"""Units and outcomes: written once, read back the same, and counted honestly."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from middo.core.records import Axis
from middo.stores.database import Database, open_database, read_database
from middo.stores.ledger import Ledger, Outcome, Spent, Unit

UNIT = Unit(
    key="k1",
    role="rewriter",
    round=2,
    sample_id="abc",
    axis="quality",
    attempt=3,
    model="some-model",
    prompt="rewrite_answer_quality",
    prompt_hash="ffff",
    messages=[["system", "Be brief."], ["user", "é 🙂\n"]],
    status="answered",
    value={"answer": "It is 4.", "list": [1, None]},
    raw=["no JSON", '{"answer": "It is 4."}'],
    error=None,
    prompt_tokens=11,
    completion_tokens=7,
    seconds=1.5,
)
FAILED = replace(UNIT, key="k2", status="failed", value=None, error="cut", seconds=0.5)
PROPOSAL: dict[str, Any] = {"id": "p", "checks": [{"passed": True}], "critique": None}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def test_units_outlive_their_process(tmp_path: Path) -> None:
    first = open_database(tmp_path / "ledger.db")
    for unit in (UNIT, FAILED):
        Ledger(first).add_unit(unit)
    first.close()
    second = read_database(tmp_path / "ledger.db")
    assert Ledger(second).unit("k1") == UNIT
    assert Ledger(second).unit("k2") == FAILED
    assert Ledger(second).unit("k3") is None
    second.close()


def test_a_units_first_word_stands(database: Database) -> None:
    ledger = Ledger(database)
    ledger.add_unit(UNIT)
    ledger.add_unit(replace(UNIT, value={"answer": "It is 5."}, prompt_tokens=100))
    assert ledger.unit("k1") == UNIT
    assert ledger.spent().prompt_tokens == 11


def test_what_was_spent_is_summed_and_the_unknown_is_told(database: Database) -> None:
    ledger = Ledger(database)
    assert ledger.spent() == Spent(0, 0, 0, 0, 0.0)
    ledger.add_unit(UNIT)
    ledger.add_unit(FAILED)
    ledger.add_unit(replace(UNIT, key="k3", prompt_tokens=None, completion_tokens=None))
    spent = ledger.spent()
    assert spent == Spent(3, 22, 14, 1, 3.5)
    assert spent.tokens == 36


def test_outcomes_come_back_in_order_of_id_and_round(database: Database) -> None:
    ledger = Ledger(database)
    late = Outcome(1, "b", Axis.QUALITY, "accepted", "", [PROPOSAL, PROPOSAL])
    early = Outcome(1, "a", Axis.DIVERSITY, "deferred", "beyond the budget", [])
    other = Outcome(2, "a", Axis.COMPLEXITY, "failed", "rewriter: cut", [])
    for outcome in (late, other, early):
        ledger.add_outcome(outcome)
    assert ledger.outcomes(1) == [early, late]
    assert ledger.outcomes(2) == [other]
    assert ledger.outcomes(3) == []


def test_an_outcomes_first_word_stands(database: Database) -> None:
    ledger = Ledger(database)
    ledger.add_outcome(Outcome(0, "a", Axis.QUALITY, "rejected", "critic: wrong", [PROPOSAL]))
    ledger.add_outcome(Outcome(0, "a", Axis.COMPLEXITY, "accepted", "", []))
    assert ledger.outcomes(0) == [
        Outcome(0, "a", Axis.QUALITY, "rejected", "critic: wrong", [PROPOSAL])
    ]
