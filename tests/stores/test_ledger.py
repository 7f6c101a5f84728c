"""Units and outcomes: written once, read back the same, and counted honestly."""

import asyncio
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
    axes="quality+complexity",
    attempt=3,
    source="live",
    model="some-model",
    prompt="rewrite_answer_quality",
    prompt_version=2,
    prompt_hash="ffff",
    messages=[["system", "Be brief."], ["user", "é 🙂\n"]],
    status="answered",
    value={"answer": "It is 4.", "list": [1, None]},
    raw=["no JSON", '{"answer": "It is 4."}'],
    error=None,
    prompt_tokens=11,
    completion_tokens=7,
    usd=0.25,
    held_tokens=18,
    held_usd=0.25,
    seconds=1.5,
)
FAILED = replace(UNIT, key="k2", status="failed", value=None, error="cut", seconds=0.5)
ONE = Spent(
    calls=1,
    prompt_tokens=11,
    completion_tokens=7,
    usd=0.25,
    held_tokens=18,
    held_usd=0.25,
    seconds=1.5,
)
PROPOSAL: dict[str, Any] = {"id": "p", "checks": [{"passed": True}], "critique": None}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


async def test_units_outlive_their_process(tmp_path: Path) -> None:
    first = open_database(tmp_path / "ledger.db")
    ledger = Ledger(first)
    for unit in (UNIT, FAILED):
        assert await ledger.add_unit(unit) == unit
        assert ledger.unit(unit.key) == unit
    assert ledger.unit("k3") is None
    first.close()
    second = read_database(tmp_path / "ledger.db")
    assert Ledger(second).unit("k1") == UNIT
    assert Ledger(second).unit("k2") == FAILED
    assert Ledger(second).unit("k3") is None
    second.close()


async def test_a_units_first_word_stands(database: Database) -> None:
    ledger = Ledger(database)
    late = replace(UNIT, value={"answer": "It is 5."}, prompt_tokens=100)
    both = await asyncio.gather(*(ledger.add_unit(unit) for unit in (UNIT, late)))
    assert both == [UNIT, UNIT]
    assert ledger.unit("k1") == UNIT
    assert ledger.spent().prompt_tokens == 11


async def test_what_was_spent_is_summed_and_the_unknown_is_told(database: Database) -> None:
    ledger = Ledger(database)
    assert ledger.spent() == Spent()
    await ledger.add_unit(UNIT)
    await ledger.add_unit(FAILED)
    unknown = replace(
        UNIT, key="k3", prompt_tokens=None, completion_tokens=None, usd=None, held_tokens=30
    )
    await ledger.add_unit(unknown)
    await ledger.add_unit(replace(UNIT, key="k4", source="replayed", prompt_tokens=0))
    spent = ledger.spent()
    assert spent == Spent(
        calls=4,
        replayed=1,
        prompt_tokens=22,
        completion_tokens=21,
        unknown_calls=1,
        usd=0.75,
        unpriced_calls=1,
        held_tokens=84,
        held_usd=1.0,
        seconds=5.0,
    )
    assert spent.tokens == 43
    assert Ledger(database).spent() == spent  # summed by the database, not along the way


async def test_a_resumed_ledger_counts_on_from_what_is_there(database: Database) -> None:
    first = Ledger(database)
    await first.add_unit(UNIT)
    resumed = Ledger(database)
    assert resumed.spent() == ONE
    others = [replace(UNIT, key=f"n{number}", prompt_tokens=number) for number in range(30)]
    await asyncio.gather(*(resumed.add_unit(unit) for unit in [UNIT, *others]))
    total = Spent(
        calls=31,
        prompt_tokens=11 + 435,
        completion_tokens=31 * 7,
        usd=7.75,
        held_tokens=31 * 18,
        held_usd=7.75,
        seconds=46.5,
    )
    assert resumed.spent() == Ledger(database).spent() == total
    assert resumed.unit("k1") == UNIT  # written before this process
    assert resumed.unit("n29") == others[29]
    assert resumed.unit("n30") is None


async def test_a_unit_whose_asker_is_gone_is_counted_all_the_same(database: Database) -> None:
    ledger = Ledger(database)
    asker = asyncio.create_task(ledger.add_unit(UNIT))
    await asyncio.sleep(0)  # it is handed in, and waits
    asker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asker
    await ledger.add_unit(FAILED)  # commits in order: the first one is written by now
    assert ledger.spent() == ONE.plus(FAILED)


async def test_outcomes_come_back_in_order_of_id_and_round(database: Database) -> None:
    ledger = Ledger(database)
    late = Outcome(1, "b", Axis.QUALITY, "accepted", "", [PROPOSAL, PROPOSAL])
    early = Outcome(1, "a", Axis.DIVERSITY, "deferred", "beyond the budget", [])
    other = Outcome(2, "a", Axis.COMPLEXITY, "failed", "rewriter: cut", [])
    await ledger.add_outcome(late)
    ledger.add_outcomes([other, early])
    assert ledger.outcomes(1) == [early, late]
    assert ledger.fates(1) == {"a": "deferred", "b": "accepted"}
    assert ledger.outcomes(2) == [other]
    assert ledger.outcomes(3) == []


async def test_an_outcomes_first_word_stands(database: Database) -> None:
    ledger = Ledger(database)
    await ledger.add_outcome(Outcome(0, "a", Axis.QUALITY, "rejected", "critic: wrong", [PROPOSAL]))
    await ledger.add_outcome(Outcome(0, "a", Axis.COMPLEXITY, "accepted", "", []))
    ledger.add_outcomes([Outcome(0, "a", Axis.COMPLEXITY, "failed", "", [])])
    assert ledger.outcomes(0) == [
        Outcome(0, "a", Axis.QUALITY, "rejected", "critic: wrong", [PROPOSAL])
    ]
