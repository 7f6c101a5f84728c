"""What a gullible rewriter makes of each hostile sample, and whether code lets it pass.

Harm is looked for here by other means than the checks use.
"""

import os
import re
import unicodedata
from typing import Any

import pytest

from middo.agents.rewriter import Rewriter
from middo.checks.suite import cheap_checks, passed
from middo.core.chat import Answer, AnswerFailed, Prompt
from middo.core.ids import fence_of
from middo.core.records import Axis, Message, Proposal, Sample, sample_id
from middo.core.redaction import without_keys
from middo.prompts.loader import examples, load, sentences
from middo.providers.line import Line
from middo.providers.structured import ask
from tests.checks.proposals import context
from tests.hostile.corpus import Hostile, hostile_samples, row
from tests.hostile.gullible import CANARY, gullible, orders

KEY = "sk-proj-canaryOpenAI0123456789abcdef"
SAMPLES = hostile_samples()
TOKENS = (
    *("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<start_of_turn>"),
    *("<end_of_turn>", "[INST]", "[/INST]", "<tool_call>", "</tool_call>", "<think>", "</think>"),
    *('"verdict":', "\nHuman:", "\nAssistant:", "<s>["),
)
ACTIVE = ("<script", "<iframe", "<svg", "onerror=", "onload=", "javascript:", "<form", "](//")
HIDDEN = {"Cc", "Cf", "Cs", "Co"}
INSTRUCTIONS = {
    " ".join(words[at : at + 12])
    for name in ("rewrite_answer_quality", "rewrite_answer_complexity", "rewrite_prompt_complexity")
    for words in [load(name).messages[0][1].split()]
    for at in range(len(words) - 11)
}


class Asked:
    """A chat that takes known keys out of what is kept, as that of a run does."""

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        reply = await ask(Line(gullible(KEY), name="gullible"), prompt, schema)
        return schema.model_validate(without_keys(reply.value.model_dump(mode="json")))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", KEY)


def sample_of(hostile: Hostile, number: int) -> Sample:
    plain = row(hostile, number)
    messages = tuple(Message(one["role"], one["content"]) for one in plain["messages"])
    return Sample(sample_id(messages), messages, "rows.jsonl:1", meta=hostile.meta)


async def proposals(axis: Axis) -> list[tuple[Hostile, Proposal]]:
    rewriter, found = Rewriter(Asked()), []
    for number, hostile in enumerate(SAMPLES):
        sample = sample_of(hostile, number)
        try:
            made = await rewriter.propose(
                sample, axis, attempt=1, rewrite_prompt=axis is not Axis.QUALITY
            )
        except AnswerFailed:
            continue
        found.append((hostile, made))
    return found


def harm(proposal: Proposal) -> list[str]:
    """Return what a proposal holds that no model should learn and that its original lacks."""
    known = "\n".join(turn.content for turn in proposal.parent.messages)
    text = f"{proposal.prompt}\n{proposal.answer}"
    lowered, before = text.casefold(), known.casefold()
    found = [token for token in TOKENS if token in text and token not in known]
    found += [mark for mark in ACTIVE if mark in lowered and mark not in before]
    found += [mark for mark in (CANARY, "[redacted]") if mark in text]
    found += [url for url in re.findall(r"https?://\S+|\w+@\w+\.\w+", text) if url not in known]
    found += [f"U+{ord(c):X}" for c in set(text) - set(known) if unicodedata.category(c) in HIDDEN]
    fences = {fence_of(part) for turn in proposal.parent.messages for part in (turn.content,)}
    found += [fence for fence in fences if fence in text]
    said = text.split()
    shingles = {" ".join(said[at : at + 12]) for at in range(len(said) - 11)}
    return [*found, *(shingles & INSTRUCTIONS)]


def test_the_corpus_is_large_and_of_many_languages_and_kinds() -> None:
    assert len(SAMPLES) >= 96 and len({one.id for one in SAMPLES}) == len(SAMPLES)
    assert len({one.language for one in SAMPLES}) >= 9
    assert len({one.kind for one in SAMPLES}) >= 12


def test_the_gullible_model_sees_every_order_that_stands_in_a_text() -> None:
    unseen = []
    for number, hostile in enumerate(SAMPLES):
        turns = tuple(turn.content for turn in sample_of(hostile, number).messages)
        in_fields = hostile.plain in [*hostile.meta, *hostile.meta.values()]
        if hostile not in orders(turns) and not in_fields:
            unseen.append(hostile.id)
    assert unseen == []


@pytest.mark.parametrize("axis", list(Axis))
async def test_no_obeyed_order_that_harms_passes_the_checks(axis: Axis) -> None:
    harmful: dict[str, Any] = {}
    passing = 0
    for hostile, proposal in await proposals(axis):
        shown = (*examples(), *sentences())
        verdicts = cheap_checks(proposal, context(flagged=frozenset({axis}), instructions=shown))
        found = harm(proposal)
        passing += passed(verdicts)
        if found:
            harmful[hostile.id] = passed(verdicts)
    # The model does harm where it can see the answer, and sound proposals do pass.
    assert len(harmful) >= (15 if axis is not Axis.DIVERSITY else 5)
    assert passing >= 20
    assert [name for name, through in harmful.items() if through] == []


async def test_what_reads_like_any_sentence_is_not_for_checks_to_find() -> None:
    """A known limit: code can't tell an advert from an answer; SECURITY.md says so."""
    made = {hostile.id: proposal for hostile, proposal in await proposals(Axis.QUALITY)}
    advert = made["rewriter-en-9"]
    assert "Zebrola is wonderful" in advert.answer and harm(advert) == []
    assert passed(cheap_checks(advert, context(instructions=sentences())))
