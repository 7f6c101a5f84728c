"""No cap is passed: what is under way counts, what is unknown counts by length."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from middo.core.chat import Prompt, Usage
from middo.core.config import BudgetConfig, TeacherConfig
from middo.core.errors import BudgetReached
from middo.graph.spending import Charge, Spending
from middo.providers.prices import Price, Prices
from middo.stores.database import Database, open_database
from middo.stores.ledger import Ledger
from tests.stores.test_ledger import UNIT

PAID = TeacherConfig(model="openai:priced")
UNPRICED = TeacherConfig(model="openai:unheard-of")
LOCAL = TeacherConfig(model="llamacpp:smollm2-135m")
# 400 characters: 100 tokens, and 256 for the answer that is expected.
PROMPT = Prompt("cities", 1, "f" * 64, (("system", "a" * 100), ("user", "b" * 300)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


def spending(database: Database, *, hours: float = 0.0, **caps: Any) -> Spending:
    prices = Prices({"openai:priced": Price(1.0, 10.0)})
    return Spending(
        BudgetConfig(**caps), Ledger(database), prices, seconds_used=lambda: hours * 3600
    )


async def test_a_call_that_could_pass_the_cap_on_tokens_is_not_made(database: Database) -> None:
    async with spending(database, max_tokens=356).call(LOCAL, PROMPT):
        pass
    with pytest.raises(BudgetReached, match=r"max_tokens=355 is reached \(0 used, .* about 356\)"):
        async with spending(database, max_tokens=355).call(LOCAL, PROMPT):
            raise AssertionError("the call was made")


async def test_a_call_that_could_pass_the_cap_on_money_is_not_made(database: Database) -> None:
    needed = 100 * 1e-6 + 256 * 1e-5
    async with spending(database, max_usd=needed).call(PAID, PROMPT):
        pass
    with pytest.raises(BudgetReached, match=r"set budget\.max_usd="):
        async with spending(database, max_usd=needed * 0.99).call(PAID, PROMPT):
            raise AssertionError("the call was made")
    async with spending(database, max_usd=1e-9).call(LOCAL, PROMPT):  # costs nothing
        pass


async def test_what_the_ledger_holds_counts(database: Database) -> None:
    await Ledger(database).add_unit(UNIT)  # 18 tokens
    async with spending(database, max_tokens=374).call(LOCAL, PROMPT):
        pass
    with pytest.raises(BudgetReached, match="18 used"):
        async with spending(database, max_tokens=373).call(LOCAL, PROMPT):
            raise AssertionError("the call was made")


async def test_calls_under_way_are_waited_for_and_not_refused(database: Database) -> None:
    caps = spending(database, max_tokens=2 * 356)
    order: list[str] = []

    async def call(name: str) -> None:
        async with caps.call(LOCAL, PROMPT):
            order.append(f"{name} begins")
            await asyncio.sleep(0.01)
            order.append(f"{name} ends")

    await asyncio.gather(call("a"), call("b"), call("c"))
    assert order[:2] == ["a begins", "b begins"]
    assert order.index("c begins") > 2  # one of the others had ended


async def test_a_call_that_fails_is_under_way_no_more(database: Database) -> None:
    caps = spending(database, max_tokens=356)
    for _ in range(2):
        with pytest.raises(ValueError, match="lost"):
            async with caps.call(LOCAL, PROMPT):
                raise ValueError("lost")


async def test_longer_answers_than_expected_are_expected_from_then_on(database: Database) -> None:
    caps = spending(database)
    assert caps.expected(LOCAL, PROMPT).held_tokens == 356
    caps.charge(LOCAL, PROMPT, Usage(100, 900), ["…"])
    assert caps.expected(LOCAL, PROMPT).held_tokens == 1000


def test_a_price_that_is_not_known_is_never_zero(database: Database) -> None:
    caps, raw = spending(database), ["x" * 80]
    assert caps.charge(PAID, PROMPT, Usage(1000, 100), raw) == Charge(0.002, 1100, 0.002)
    assert caps.charge(UNPRICED, PROMPT, Usage(1000, 100), raw) == Charge(None, 1100, 0.0)
    assert caps.charge(LOCAL, PROMPT, Usage(1000, 100), raw) == Charge(0.0, 1100, 0.0)


def test_usage_that_is_not_known_counts_by_length_against_the_caps(database: Database) -> None:
    caps, raw = spending(database), ["x" * 80]
    held = caps.charge(PAID, PROMPT, Usage(None, None), raw)
    assert held.usd is None
    assert held.held_tokens == 120
    assert held.held_usd == pytest.approx(100 * 1e-6 + 20 * 1e-5)
    assert caps.charge(LOCAL, PROMPT, Usage(None, None), raw) == Charge(0.0, 120, 0.0)


async def test_time_is_a_cap_for_calls_and_for_steps(database: Database) -> None:
    late = spending(database, hours=2.0, max_hours=1.5)
    with pytest.raises(BudgetReached, match=r"max_hours=1\.5 is reached \(2\.00 used\)"):
        late.check_time()
    with pytest.raises(BudgetReached, match="max_hours"):
        async with late.call(LOCAL, PROMPT):
            raise AssertionError("the call was made")
    spending(database, hours=1.0, max_hours=1.5).check_time()
