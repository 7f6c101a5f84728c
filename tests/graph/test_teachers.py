"""What a role names is opened once, and what follows the trainee is another one in every round."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from middo.core.chat import AnswerFailed, Prompt
from middo.core.config import TeacherConfig
from middo.core.errors import ConfigError, DataError, ProviderError
from middo.core.records import Axis
from middo.formats.configuration import load_config
from middo.graph.deps import Deps, open_run
from middo.graph.sources import Case, Live, Replayed
from middo.graph.teachers import RunMemory, check_teacher, follows_trainee
from middo.stores.runs import CONFIG
from tests.graph.test_chats import City

pytestmark = pytest.mark.xdist_group("one finished run")

SELF = TeacherConfig(model="self", params={"max_tokens": 8})
ROUND_ADAPTER = TeacherConfig(model="vllm:/no/model", params={"adapter": "round"})
PROMPT = Prompt("cities", 1, "f" * 64, (("system", "Be brief."), ("user", "Name a city.")))
CASE = Case("rewriter", 0, "abc", (Axis.QUALITY,))


@pytest.fixture
def deps(finished: Path) -> Iterator[Deps]:
    opened = open_run(finished, load_config(finished / CONFIG, environ={}))
    yield opened
    opened.close()


async def test_the_trainee_of_the_round_answers(deps: Deps, finished: Path) -> None:
    source = await deps.teachers.source(SELF, 0)
    assert isinstance(source, Live)
    assert await deps.teachers.source(SELF, 0) is source
    with pytest.raises(AnswerFailed, match=r"cut at the token limit|after a repair turn") as failed:
        await source.answer(CASE, PROMPT, City, 1)  # a random model writes no JSON
    usage = failed.value.usage  # type: ignore[attr-defined]  # NoAnswer, by another name
    assert usage.prompt > 8
    assert usage.completion > 0


async def test_another_round_has_another_trainee(deps: Deps) -> None:
    first, second = deps.trainee(0), deps.trainee(1)
    assert first.weights != second.weights
    assert (first.folder, first.dtype) == (second.folder, second.dtype)
    assert first.adapter is not None
    assert first.adapter.name == "model"
    assert deps.teachers.identity(SELF, 0) != deps.teachers.identity(SELF, 1)
    before = await deps.teachers.source(SELF, 0)
    after = await deps.teachers.source(SELF, 1)
    assert after is not before
    assert await deps.teachers.source(SELF, 0) is not before  # it was closed for the other


def test_after_a_rollback_the_best_rounds_model_is_the_trainee(deps: Deps) -> None:
    known = deps.facts.get("round.1.diagnosis")
    try:
        deps.facts.put("round.1.diagnosis", {**(known or {}), "source_round": 0})
        assert deps.trainee(1) == deps.trainee(0)
    finally:
        deps.facts.put("round.1.diagnosis", known or {})


def test_what_follows_the_trainee() -> None:
    assert follows_trainee(SELF)
    assert follows_trainee(ROUND_ADAPTER)
    fixed = ROUND_ADAPTER.model_copy(update={"params": {"adapter": "/some/folder"}})
    assert not follows_trainee(fixed)
    assert not follows_trainee(TeacherConfig(model="openai:gpt", params={"adapter": "round"}))


async def test_a_wrong_parameter_of_the_trainee_is_named(deps: Deps) -> None:
    wrong = TeacherConfig(model="self", params={"temprature": 1})
    with pytest.raises(ConfigError, match=r"'self': a parameter is wrong: .*temprature"):
        await deps.teachers.source(wrong, 0)


async def test_a_recording_is_opened_and_known_by_its_answers(deps: Deps, finished: Path) -> None:
    one = TeacherConfig(model=f"replay:{finished}")
    same = TeacherConfig(model=f"replay:{finished / 'ledger.db'}")
    assert isinstance(await deps.teachers.source(one, 0), Replayed)
    assert deps.teachers.identity(one, 0) == deps.teachers.identity(same, 1)


def test_what_can_not_be_opened_is_refused_before_a_run(tmp_path: Path) -> None:
    check_teacher(SELF)
    with pytest.raises(DataError, match="no recording at"):
        check_teacher(TeacherConfig(model=f"replay:{tmp_path / 'nowhere'}"))
    with pytest.raises((ConfigError, ProviderError)):
        check_teacher(TeacherConfig(model="opnai:gpt"))


def test_what_was_learned_of_a_model_outlives_the_process(deps: Deps) -> None:
    memory = RunMemory(deps.facts, {"model": "x"})
    assert memory.get("rung") is None
    memory["rung"] = "text"
    memory["rung"] = "json_schema"  # the first word stands
    assert RunMemory(deps.facts, {"model": "x"}).get("rung") == "text"
    assert RunMemory(deps.facts, {"model": "y"}).get("rung") is None
