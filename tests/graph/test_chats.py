"""An answer is paid for once: ledger first, then the budget, then the model."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from middo.core.chat import AnswerFailed, Prompt
from middo.core.config import RunConfig
from middo.core.errors import BudgetReached, ProviderError
from middo.core.records import Axis
from middo.graph.chats import Case, Chats, LedgerChat
from middo.providers.scripted import ScriptedChat
from middo.stores.database import Database, open_database
from middo.stores.ledger import Ledger
from tests.graph.scripts import FACTORY, SCRIPTS

CASE = Case("rewriter", 2, "abc", Axis.QUALITY)


class City(BaseModel):
    city: str


class Town(BaseModel):
    city: str
    people: int = 0


def prompt(text: str = "Name a city.") -> Prompt:
    return Prompt("cities", 1, "f" * 64, (("system", "Be brief."), ("user", text)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _no_scripts_left() -> Iterator[None]:
    yield
    SCRIPTS.clear()


def script(*replies: Any, **options: Any) -> ScriptedChat:
    SCRIPTS["model"] = ScriptedChat(replies=list(replies), **options)
    return SCRIPTS["model"]


def chats(database: Database, *, hours: float = 0.0, **sections: Any) -> Chats:
    agents = {"rewriter": {"model": FACTORY, "params": {"name": "model"}}}
    config = RunConfig.model_validate({"agents": agents, **sections})
    return Chats(config, Ledger(database), seconds_used=lambda: hours * 3600)


def chat(database: Database, case: Case = CASE, **options: Any) -> LedgerChat:
    return chats(database, **options).chat(case)


async def test_what_was_answered_is_never_asked_again(tmp_path: Path) -> None:
    model = script({"city": "Paris"})
    for _ in range(2):  # the second one is another process, after a crash
        database = open_database(tmp_path / "ledger.db")
        assert await chat(database)(prompt(), City, attempt=1) == City(city="Paris")
        database.close()
    assert len(model.calls) == 1


async def test_the_record_says_who_asked_what_and_what_it_took(database: Database) -> None:
    script({"city": "Paris"}, model_name="some-model")
    await chat(database)(prompt(), City, attempt=3)
    ((key,),) = database.query("SELECT key FROM units")
    unit = Ledger(database).unit(str(key))
    assert unit is not None
    assert (unit.role, unit.round, unit.sample_id, unit.axis) == ("rewriter", 2, "abc", "quality")
    assert (unit.attempt, unit.model, unit.prompt) == (3, "some-model", "cities")
    assert unit.prompt_hash == "f" * 64
    assert unit.messages == [["system", "Be brief."], ["user", "Name a city."]]
    assert (unit.status, unit.value, unit.error) == ("answered", {"city": "Paris"}, None)
    assert unit.raw == ['{"city": "Paris"}']
    assert (unit.prompt_tokens, unit.completion_tokens) == (5, 2)


async def test_another_question_is_another_unit(database: Database) -> None:
    model = script(*({"city": name} for name in "ABCDE"))
    both = chats(database)
    rewriter = both.chat(CASE)
    found = [
        await rewriter(prompt(), City, attempt=1),
        await rewriter(prompt(), City, attempt=2),
        await rewriter(prompt("Name a town."), City, attempt=1),
        await rewriter(prompt(), Town, attempt=1),
        await both.chat(Case("critic", 2, "abc", Axis.QUALITY))(prompt(), City, attempt=1),
    ]
    assert "".join(answer.model_dump()["city"] for answer in found) == "ABCDE"
    # Sample and round are for the record: the same question of another sample is no new one.
    other = both.chat(Case("rewriter", 5, "xyz", Axis.COMPLEXITY))
    assert await other(prompt(), City, attempt=1) == City(city="A")
    assert len(model.calls) == 5


async def test_a_failure_is_remembered(database: Database) -> None:
    model = script("no JSON", "none again", {"city": "Paris"})
    words = []
    for _ in range(2):
        with pytest.raises(AnswerFailed) as failed:
            await chat(database)(prompt(), City, attempt=1)
        words.append(str(failed.value))
    assert words[0] == words[1]
    assert "prompt 'cities'" in words[0]
    assert len(model.calls) == 2  # the question and its repair turn
    assert database.query("SELECT status, value, raw FROM units") == [
        ("failed", None, '["no JSON","none again"]')
    ]
    assert Ledger(database).spent().tokens > 0
    assert await chat(database)(prompt(), City, attempt=2) == City(city="Paris")


async def test_a_provider_that_is_down_leaves_nothing_in_the_ledger(database: Database) -> None:
    script(RuntimeError("no such account"), {"city": "Paris"})
    one = chat(database)
    with pytest.raises(ProviderError, match="no such account"):
        await one(prompt(), City, attempt=1)
    assert Ledger(database).spent().calls == 0
    assert await one(prompt(), City, attempt=1) == City(city="Paris")


async def test_a_cap_on_tokens_is_met_before_the_call(database: Database) -> None:
    model = script({"city": "Paris"}, {"city": "Rome"})
    await chat(database)(prompt(), City, attempt=1)
    assert Ledger(database).spent().tokens == 7
    capped = chat(database, budget={"max_tokens": 7})
    with pytest.raises(BudgetReached, match=r"budget.max_tokens=7 is reached \(7 used\)"):
        await capped(prompt(), City, attempt=2)
    assert len(model.calls) == 1
    # What was paid for is served past the cap, and a higher cap goes on.
    assert await capped(prompt(), City, attempt=1) == City(city="Paris")
    raised = chat(database, budget={"max_tokens": 8})
    assert await raised(prompt(), City, attempt=2) == City(city="Rome")
    assert len(model.calls) == 2


async def test_a_cap_on_time_is_met_before_the_call(database: Database) -> None:
    model = script({"city": "Paris"})
    late = chat(database, hours=2.0, budget={"max_hours": 1.5})
    with pytest.raises(BudgetReached, match=r"budget.max_hours=1.5 is reached \(2.00 used\)"):
        await late(prompt(), City, attempt=1)
    assert model.calls == []
    early = chat(database, hours=1.0, budget={"max_hours": 1.5})
    assert await early(prompt(), City, attempt=1) == City(city="Paris")


async def test_copies_that_ask_at_once_hear_the_same(database: Database) -> None:
    script({"city": "Paris"}, {"city": "Rome"}, delay=0.02)
    run = chats(database)
    cases = [Case("rewriter", 0, name, Axis.QUALITY) for name in ("abc", "abc-2")]
    found = await asyncio.gather(*(run.chat(c)(prompt(), City, attempt=1) for c in cases))
    assert found[0] == found[1]
    assert await run.chat(CASE)(prompt(), City, attempt=1) == found[0]


def test_the_critic_is_the_rewriters_model_unless_one_is_named(database: Database) -> None:
    script({})
    SCRIPTS["judge"] = ScriptedChat(replies=[{}])
    one = chats(database)
    assert one.model("critic") is one.model("rewriter") is SCRIPTS["model"]
    agents = {
        "rewriter": {"model": FACTORY, "params": {"name": "model"}},
        "critic": {"model": FACTORY, "params": {"name": "judge"}},
    }
    two = chats(database, agents=agents)
    assert two.model("critic") is SCRIPTS["judge"]
    assert two.identity("critic") != two.identity("rewriter")
    two.close()
