from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from middo.agents.rewriter import (
    ANSWER_LIMIT,
    PROMPT_LIMIT,
    Rewriter,
    RewrittenAnswer,
    RewrittenPrompt,
)
from middo.core.chat import Prompt
from middo.core.records import Axis, Message, Proposal, Sample, sample_id
from middo.prompts.loader import fenced


class Recorder:
    """A `Chat` that answers each step with its number and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Prompt, int]] = []

    async def __call__(self, prompt: Prompt, schema: type[Any], *, attempt: int) -> Any:
        self.asked.append((prompt, attempt))
        name = "prompt" if schema is RewrittenPrompt else "answer"
        return schema(**{name: f"new {name} {len(self.asked)}"})

    @property
    def names(self) -> list[str]:
        return [prompt.name for prompt, _ in self.asked]

    def text(self, step: int) -> str:
        return self.asked[step][0].messages[-1][1]


def sample(*turns: tuple[Any, str]) -> Sample:
    messages = tuple(Message(role, text) for role, text in turns)
    return Sample(sample_id(messages), messages, "x.json:1")


PLAIN = sample(("user", "old prompt"), ("assistant", "old answer"))
LONG = sample(
    ("system", "Be kind."),
    ("user", "first question"),
    ("assistant", "first reply"),
    ("user", "old prompt"),
    ("assistant", "old answer"),
)
TOOLS = sample(
    ("user", "old prompt"),
    ("assistant", "call weather"),
    ("tool", "12 degrees"),
    ("assistant", "old answer"),
)


async def propose(chat: Recorder, item: Sample, axis: Axis, **options: Any) -> Proposal:
    return await Rewriter(chat).propose(item, axis, attempt=2, **options)


async def test_complexity_rewrites_the_prompt_and_answers_the_new_one() -> None:
    chat = Recorder()
    proposal = await propose(chat, PLAIN, Axis.COMPLEXITY)
    assert chat.names == ["rewrite_prompt_complexity", "rewrite_answer_complexity"]
    assert [attempt for _, attempt in chat.asked] == [2, 2]
    assert fenced("old prompt") in chat.text(0)
    assert fenced("new prompt 1") in chat.text(1)
    assert fenced("old answer") in chat.text(1)
    assert (proposal.prompt, proposal.answer) == ("new prompt 1", "new answer 2")
    assert (proposal.parent, proposal.attempt, proposal.adds) == (PLAIN, 2, False)


async def test_quality_repairs_the_answer_and_keeps_the_prompt_unless_told() -> None:
    chat = Recorder()
    proposal = await propose(chat, PLAIN, Axis.QUALITY)
    assert chat.names == ["rewrite_answer_quality"]
    assert proposal.keeps_prompt
    assert proposal.answer == "new answer 1"
    await propose(chat, PLAIN, Axis.QUALITY, rewrite_prompt=True)
    assert chat.names[1:] == ["rewrite_prompt_quality", "rewrite_answer_quality"]


async def test_the_answer_step_can_be_skipped() -> None:
    chat = Recorder()
    proposal = await propose(chat, PLAIN, Axis.COMPLEXITY, rewrite_answer=False)
    assert chat.names == ["rewrite_prompt_complexity"]
    assert (proposal.prompt, proposal.answer) == ("new prompt 1", "old answer")


async def test_a_prompt_with_tool_turns_is_kept_and_the_turns_are_shown() -> None:
    chat = Recorder()
    proposal = await propose(chat, TOOLS, Axis.COMPLEXITY, rewrite_prompt=True)
    assert chat.names == ["rewrite_answer_complexity"]
    assert fenced("[assistant]\ncall weather\n\n[tool]\n12 degrees") in chat.text(0)
    assert proposal.messages == (*TOOLS.messages[:3], Message("assistant", "new answer 1"))


async def test_nothing_to_rewrite_is_an_error() -> None:
    with pytest.raises(ValueError, match="neither"):
        await propose(Recorder(), TOOLS, Axis.COMPLEXITY, rewrite_answer=False)


async def test_history_is_shown_and_kept() -> None:
    chat = Recorder()
    proposal = await propose(chat, LONG, Axis.COMPLEXITY)
    told = "[system]\nBe kind.\n\n[user]\nfirst question\n\n[assistant]\nfirst reply"
    assert fenced(told) in chat.text(0)
    assert fenced(told) in chat.text(1)
    assert proposal.messages[:3] == LONG.messages[:3]


async def test_feedback_is_shown_to_a_second_attempt_only() -> None:
    chat = Recorder()
    await propose(chat, PLAIN, Axis.QUALITY)
    await propose(chat, PLAIN, Axis.QUALITY, feedback="it names one use")
    assert "refused" not in chat.text(0)
    # An order comes last: a small model continues with what it read last, and one that read the
    # remark before the row answered with what was wrong with the old answer.
    first, remark = chat.text(1).split("\nAn earlier try was refused, for this:\n")
    assert first == chat.text(0)
    assert remark.startswith(fenced("it names one use"))
    assert remark.endswith("Write the answer to the prompt itself, in full.")


async def test_diversity_adds_a_single_turn_sample_with_the_parents_system_turn() -> None:
    chat = Recorder()
    proposal = await propose(chat, LONG, Axis.DIVERSITY, neighbours=("near one", "near two"))
    assert chat.names == ["new_prompt_diversity", "new_answer_diversity"]
    assert f"{fenced('near one')}\n{fenced('near two')}" in chat.text(0)
    assert "first question" not in chat.text(0)
    assert fenced("new prompt 1") in chat.text(1)
    assert proposal.adds
    assert proposal.messages == (
        Message("system", "Be kind."),
        Message("user", "new prompt 1"),
        Message("assistant", "new answer 2"),
    )


async def test_sample_text_stands_in_the_last_message_only() -> None:
    chat = Recorder()
    marked = sample(("user", "XQ1"), ("assistant", "XQ2"), ("user", "XQ3"), ("assistant", "XQ4"))
    for axis in Axis:
        await propose(chat, marked, axis, feedback="XQ5", neighbours=("XQ6",))
    assert len(chat.asked) == 5
    for prompt, _ in chat.asked:
        assert "XQ" not in " ".join(text for _, text in prompt.messages[:-1])
        assert "XQ5" in prompt.messages[-1][1]


@pytest.mark.parametrize(
    ("schema", "key", "limit"),
    [(RewrittenPrompt, "prompt", PROMPT_LIMIT), (RewrittenAnswer, "answer", ANSWER_LIMIT)],
)
def test_empty_and_cut_texts_are_no_answers(schema: type[BaseModel], key: str, limit: int) -> None:
    assert schema.model_json_schema()["properties"][key]["maxLength"] == limit
    assert getattr(schema(**{key: "  fine\n"}), key) == "fine"
    for text in ("", "  ", "x" * limit, "x" * (limit + 1)):
        with pytest.raises(ValidationError):
            schema(**{key: text})
