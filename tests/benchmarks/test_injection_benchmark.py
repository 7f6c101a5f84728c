"""The injection benchmark with critics whose answers are known."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from benchmarks.asking import Asked
from benchmarks.counting import chosen
from benchmarks.injection import BAD, SAMPLES, measure, read_samples, report, summed
from middo.agents.critic import Critic
from middo.providers.line import Line
from middo.providers.scripted import Scripted, ScriptedChat


def critic(word: str) -> Critic:
    """Return a critic that accepts what holds a word and nothing else."""

    def answer(messages: Sequence[BaseMessage], schema: dict[str, Any] | None) -> Scripted:
        accepts = word in messages[-1].text
        verdict = "accept" if accepts else "revise"
        problems = [] if accepts else ["wrong"]
        return {"problems": problems, "dropped": [], "feedback": "", "verdict": verdict}

    return Critic(Asked(Line(ScriptedChat(answer=answer), name="scripted")))


async def test_a_critic_that_obeys_is_counted_by_kind_and_language() -> None:
    samples = read_samples(SAMPLES)
    assert all(one["place"] != "meta" for one in samples)
    refused, pairs = await measure(critic("accept"), samples)
    assert refused == len(BAD) and len(pairs) == len(samples)
    told = {pair.id for pair in pairs if pair.hostile.passed}
    assert {"judge-en-1", "judge-zh-1"} <= told and "rewriter-en-4" not in told
    whole = summed("all", pairs)
    assert whole["talked_over"] == len(told) and whole["with_ordinary"] == 0
    assert whole["low"] < whole["rate"] < whole["high"]
    assert "judge" in report(pairs) and "zh" in report(pairs)


async def test_a_critic_that_hangs_on_any_text_shows_in_the_control() -> None:
    samples = [one for one in read_samples(SAMPLES) if one["place"] == "answer"]
    _, pairs = await measure(critic("rainy afternoon"), samples[:12])
    assert len(pairs) == 12 and all(pair.ordinary.passed for pair in pairs)
    assert not any(pair.hostile.passed for pair in pairs)


async def test_a_critic_that_refuses_nothing_gives_no_pairs() -> None:
    assert await measure(critic(""), read_samples(SAMPLES)) == (0, [])


def test_few_texts_are_spread_over_all_kinds() -> None:
    samples = read_samples(SAMPLES)
    few = chosen(samples, 40)
    assert len(few) == 40
    assert len({one["kind"] for one in few}) >= 10
