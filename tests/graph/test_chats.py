"""An answer is paid for once: ledger first, then the budget, then the model."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from middo.core.chat import AnswerFailed, Prompt
from middo.core.config import RunConfig
from middo.core.errors import BudgetReached, ProviderError, StorageError
from middo.core.records import Axis
from middo.core.trace import Call, TraceEvent
from middo.graph.chats import Chats, LedgerChat
from middo.graph.sources import Case
from middo.graph.spending import Spending
from middo.graph.teachers import Teachers, Trainee
from middo.providers.prices import Prices
from middo.providers.scripted import ScriptedChat
from middo.stores.database import Database, open_database
from middo.stores.facts import Facts
from middo.stores.ledger import Ledger
from tests.graph.scripts import FACTORY, SCRIPTS

CASE = Case("rewriter", 2, "abc", (Axis.QUALITY, Axis.COMPLEXITY))


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
    return chats_of(config, database, hours)


def chats_of(config: RunConfig, database: Database, hours: float = 0.0) -> Chats:
    ledger = Ledger(database)
    caps = Spending(config.budget, ledger, Prices(), seconds_used=lambda: hours * 3600)
    teachers = Teachers(config, Facts(database), _no_trainee, database.check, lambda: None)
    return Chats(config, ledger, caps, teachers)


def _no_trainee(round: int) -> Trainee:
    raise AssertionError(f"nobody asks the trainee of round {round}")


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
    assert (unit.axes, unit.source) == ("quality+complexity", "live")
    assert (unit.attempt, unit.model, unit.prompt) == (3, "some-model", "cities")
    assert unit.prompt_version == 1
    assert unit.prompt_hash == "f" * 64
    assert unit.messages == [["system", "Be brief."], ["user", "Name a city."]]
    assert (unit.status, unit.value, unit.error) == ("answered", {"city": "Paris"}, None)
    assert unit.raw == ['{"city": "Paris"}']
    assert (unit.prompt_tokens, unit.completion_tokens) == (5, 2)


async def test_every_answer_is_told_wherever_it_comes_from(tmp_path: Path) -> None:
    script({"city": "Paris"}, "no JSON", "none again", model_name="some-model")
    told: list[TraceEvent] = []
    for _ in range(2):  # the second one is another process, which the ledger answers
        database = open_database(tmp_path / "ledger.db")
        asked = chats(database)
        asked.trace = told.append
        await asked.chat(CASE)(prompt(), City, attempt=1)
        with pytest.raises(AnswerFailed):
            await asked.chat(CASE)(prompt(), City, attempt=2)
        database.close()
    first, second, *again = told
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    assert (first.status, first.value, first.model) == ("answered", {"city": "Paris"}, "some-model")
    assert first.messages == [["system", "Be brief."], ["user", "Name a city."]]
    assert (first.agent, first.round, first.sample_id) == ("rewriter", 2, "abc")
    assert (first.axes, first.attempt, first.source) == ("quality+complexity", 1, "live")
    assert (second.status, second.value, second.attempt) == ("failed", None, 2)
    assert second.error
    assert second.raw == ["no JSON", "none again"]
    assert again == [first, second]


async def test_another_question_is_another_unit(database: Database) -> None:
    model = script(*({"city": name} for name in "ABCDE"))
    both = chats(database)
    rewriter = both.chat(CASE)
    found = [
        await rewriter(prompt(), City, attempt=1),
        await rewriter(prompt(), City, attempt=2),
        await rewriter(prompt("Name a town."), City, attempt=1),
        await rewriter(prompt(), Town, attempt=1),
        await both.chat(Case("critic", 2, "abc", (Axis.QUALITY,)))(prompt(), City, attempt=1),
    ]
    assert "".join(answer.model_dump()["city"] for answer in found) == "ABCDE"
    # Sample and round are for the record: the same question of another sample is no new one.
    other = both.chat(Case("rewriter", 5, "xyz", (Axis.COMPLEXITY,)))
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
    assert await chat(database)(prompt(), City, attempt=1) == City(city="Paris")


async def test_a_cap_is_met_before_the_call(database: Database) -> None:
    model = script({"city": "Paris"}, {"city": "Rome"})
    await chat(database)(prompt(), City, attempt=1)
    assert Ledger(database).spent().held_tokens == 7
    capped = chat(database, budget={"max_tokens": 260})
    with pytest.raises(BudgetReached, match=r"budget.max_tokens=260 is reached \(7 used"):
        await capped(prompt(), City, attempt=2)
    assert len(model.calls) == 1
    # What was paid for is served past the cap, and a higher cap goes on.
    assert await capped(prompt(), City, attempt=1) == City(city="Paris")
    raised = chat(database, budget={"max_tokens": 300})
    assert await raised(prompt(), City, attempt=2) == City(city="Rome")
    assert len(model.calls) == 2


async def test_a_cap_on_time_is_met_before_the_call(database: Database) -> None:
    model = script({"city": "Paris"})
    late = chat(database, hours=2.0, budget={"max_hours": 1.5})
    with pytest.raises(BudgetReached, match=r"budget.max_hours=1.5 is reached \(2.00 used\)"):
        await late(prompt(), City, attempt=1)
    assert model.calls == []


async def test_copies_that_ask_at_once_hear_the_same(database: Database) -> None:
    script({"city": "Paris"}, {"city": "Rome"}, delay=0.02)
    run = chats(database)
    cases = [Case("rewriter", 0, name, (Axis.QUALITY,)) for name in ("abc", "abc-2")]
    found = await asyncio.gather(*(run.chat(c)(prompt(), City, attempt=1) for c in cases))
    assert found[0] == found[1]
    assert await run.chat(CASE)(prompt(), City, attempt=1) == found[0]


async def test_the_critic_is_the_rewriters_model_unless_one_is_named(database: Database) -> None:
    script({"city": "Paris"}, {"city": "Rome"})
    SCRIPTS["judge"] = ScriptedChat(replies=[{"city": "Oslo"}])
    critic = Case("critic", 2, "abc", (Axis.QUALITY,))
    one = chats(database)
    assert one.identity("critic", 2) == one.identity("rewriter", 2)
    assert await one.chat(critic)(prompt(), City, attempt=1) == City(city="Paris")
    agents = {
        "rewriter": {"model": FACTORY, "params": {"name": "model"}},
        "critic": {"model": FACTORY, "params": {"name": "judge"}},
    }
    two = chats(database, agents=agents)
    assert two.identity("critic", 2) != two.identity("rewriter", 2)
    assert await two.chat(critic)(prompt(), City, attempt=1) == City(city="Oslo")
    assert await two.chat(CASE)(prompt(), City, attempt=1) == City(city="Rome")
    two.close()


FALLBACK = {
    "rewriter": {
        "model": FACTORY,
        "params": {"name": "model"},
        "fallbacks": [{"model": FACTORY, "params": {"name": "second"}}],
    }
}


async def test_the_next_model_answers_where_the_first_is_down(database: Database) -> None:
    first = script(RuntimeError("no such account"))
    SCRIPTS["second"] = ScriptedChat(
        replies=[{"city": "Oslo"}, {"city": "Rome"}], model_name="second-model"
    )
    run = chats(database, agents=FALLBACK)
    assert await run.chat(CASE)(prompt(), City, attempt=1) == City(city="Oslo")
    assert await run.chat(CASE)(prompt(), City, attempt=2) == City(city="Rome")
    assert len(first.calls) == 1  # it is not asked again while it is known to be down
    found = database.query("SELECT model, status FROM units")
    assert found == [("second-model", "answered"), ("second-model", "answered")]


async def test_the_first_error_is_told_where_nobody_answers(database: Database) -> None:
    script(RuntimeError("no such account"))
    SCRIPTS["second"] = ScriptedChat(replies=[RuntimeError("no credit")])
    with pytest.raises(ProviderError, match="no such account"):
        await chats(database, agents=FALLBACK).chat(CASE)(prompt(), City, attempt=1)
    assert Ledger(database).spent().calls == 0


async def test_an_unusable_answer_is_no_case_for_the_next_model(database: Database) -> None:
    script("no JSON", "none again")
    second = SCRIPTS["second"] = ScriptedChat(replies=[{"city": "Oslo"}])
    with pytest.raises(AnswerFailed):
        await chats(database, agents=FALLBACK).chat(CASE)(prompt(), City, attempt=1)
    assert second.calls == []


def test_fallbacks_are_part_of_what_decides_an_answer(database: Database) -> None:
    alone, followed = chats(database), chats(database, agents=FALLBACK)
    assert alone.identity("rewriter", 0) != followed.identity("rewriter", 0)


async def recorded_run(folder: Path) -> Path:
    """Return the folder of a run that has one answer and one failure in its ledger."""
    folder.mkdir()
    database = open_database(folder / "ledger.db")
    script({"city": "Paris"}, "no JSON", "none again", model_name="some-model")
    await chat(database)(prompt(), City, attempt=1)
    with pytest.raises(AnswerFailed):
        await chat(database)(prompt(), City, attempt=2)
    database.close()
    SCRIPTS.clear()
    return folder


async def test_a_recording_answers_without_a_model(database: Database, tmp_path: Path) -> None:
    folder = await recorded_run(tmp_path / "earlier")
    run = chats(database, agents={"rewriter": {"model": f"replay:{folder}"}})
    # The text may be another one: what the question is about decides.
    assert await run.chat(CASE)(prompt("Name one."), City, attempt=1) == City(city="Paris")
    with pytest.raises(AnswerFailed, match="after a repair turn"):
        await run.chat(CASE)(prompt(), City, attempt=2)
    spent = Ledger(database).spent()
    assert (spent.calls, spent.replayed, spent.tokens, spent.usd) == (2, 2, 0, 0.0)
    assert spent.unpriced_calls == 0
    assert database.query("SELECT DISTINCT model, source FROM units") == [
        ("some-model", "replayed")
    ]


async def test_a_missing_answer_names_the_sample(database: Database, tmp_path: Path) -> None:
    folder = await recorded_run(tmp_path / "earlier")
    run = chats(database, agents={"rewriter": {"model": f"replay:{folder}"}})
    other = Case("rewriter", 2, "unheard", (Axis.QUALITY,))
    with pytest.raises(ProviderError, match="no answer for sample 'unheard'"):
        await run.chat(other)(prompt(), City, attempt=1)


async def test_a_missing_answer_goes_to_the_fallback(database: Database, tmp_path: Path) -> None:
    folder = await recorded_run(tmp_path / "earlier")
    script({"city": "Rome"})
    live = [{"model": FACTORY, "params": {"name": "model"}}]
    role = {"model": f"replay:{folder}", "fallbacks": live}
    run = chats(database, agents={"rewriter": role})
    assert await run.chat(CASE)(prompt(), City, attempt=1) == City(city="Paris")
    assert await run.chat(CASE)(prompt(), City, attempt=3) == City(city="Rome")
    spent = Ledger(database).spent()
    assert (spent.calls, spent.replayed) == (2, 1)


def fill(database: Database, room: int) -> None:
    """Let the file grow by so many pages and no further, as a disk that is nearly full."""
    with database.transaction() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + room}")


async def test_a_full_disk_ends_the_asking_at_once(database: Database) -> None:
    fill(database, 20)
    answers: list[str] = []

    def answer(messages: Any, schema: Any) -> dict[str, str]:
        answers.append(messages[-1].text)
        return {"city": "x" * 400}

    SCRIPTS["model"] = ScriptedChat(answer=answer, delay=0.001)
    asked = chats(database, refinement={"concurrency": 4})
    waiting = iter(range(200))
    errors: list[Exception] = []
    begun_before: list[int] = []

    async def work() -> None:
        for number in waiting:  # as the refining of samples does, but it goes on regardless
            try:
                await asked.chat(CASE)(prompt(f"City {number}?"), City, attempt=1)
            except StorageError as error:
                errors.append(error)
                begun_before.append(len(answers))

    await asyncio.gather(*(work() for _ in range(4)))
    kept = asked.ledger.spent().calls
    assert 0 < kept < 200
    assert all("database or disk is full" in str(error) for error in errors)
    assert len(errors) == 200 - kept  # nobody is left waiting, and none is told of an answer
    assert len(answers) == begun_before[0]
    assert len(answers) - kept <= 4


async def test_nothing_is_asked_once_the_ledger_has_failed_though_it_could_be_written_again(
    database: Database,
) -> None:
    model = script({"city": "Paris"}, {"city": "Rome"})
    fill(database, 1)
    asked = chats(database)
    with pytest.raises(StorageError, match=r"ledger\.db: can't be written .*full"):
        await asked.chat(CASE)(prompt("Where?" * 10_000), City, attempt=1)
    with database.transaction() as connection:
        connection.execute("PRAGMA max_page_count=100000")
    with pytest.raises(StorageError):
        await asked.chat(CASE)(prompt("And where else?"), City, attempt=1)
    assert len(model.calls) == 1
