"""One flagged sample: accepted on evidence, else kept, with everything that was tried on record."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from middo.agents.critic import Critic
from middo.agents.prover import Prover
from middo.agents.rewriter import Rewriter
from middo.checks.context import CheckContext
from middo.checks.decontamination import EvaluationIndex
from middo.checks.words import words
from middo.core.chat import Answer, Prompt
from middo.core.errors import BudgetReached, ProviderError
from middo.core.ids import content_hash
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Axis, Message, Sample, sample_id
from middo.graph.refine import Case, build_refine, refine
from middo.graph.state import RefineState
from middo.providers.line import Line
from middo.providers.scripted import ScriptedChat
from middo.providers.structured import ask
from tests.agents.evidence import evidence, measured

PROMPT = "Explain to a child why leaves fall from the trees in autumn."
BROKEN = "fall leaves light the the less because is in the and autumn tree water saves"
GOOD = {"answer": "In autumn there is less light, so the tree saves water and drops its leaves."}
BETTER = {"answer": "Trees drop their leaves in autumn because they save water while it is dark."}
ACCEPT = {"problems": [], "dropped": [], "feedback": "", "verdict": "accept"}
REVISE = {**ACCEPT, "problems": ["nothing about roots"], "verdict": "revise"}
WRAPPED = {"answer": "Sure! Here is the improved answer: leaves fall since the tree saves water."}
SOUND, WEAK = measured(1.2, 0.7), measured(1.2, 0.32)


class Direct:
    """A `Chat` without ledger or budget: the model itself."""

    def __init__(self, model: ScriptedChat) -> None:
        self._model = model

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        return (await ask(Line(self._model, name="scripted"), prompt, schema)).value


class Spent:
    """A `Chat` whose budget is used up."""

    async def __call__(self, prompt: Prompt, schema: type[Answer], *, attempt: int) -> Answer:
        raise BudgetReached("budget.max_tokens=1 is reached")


class Measurements:
    """A score function that gives one measurement after the other; the last one stays."""

    def __init__(self, *found: Measured) -> None:
        self._found = list(found)
        self.items: list[Item] = []

    def __call__(self, items: list[Item], asks: frozenset[Ask]) -> list[Measured]:
        self.items += items
        return [self._found.pop(0) if len(self._found) > 1 else self._found[0] for _ in items]


def embed(texts: list[str]) -> NDArray[np.float32]:
    """Return unit vectors that count words: texts with common words are near each other."""
    rows = np.zeros((len(texts), 256), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in words(text):
            row[int(content_hash(word)[:2], 16)] += 1
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def sample(prompt: str = PROMPT, answer: str = BROKEN) -> Sample:
    messages = (Message("user", prompt), Message("assistant", answer))
    return Sample(sample_id(messages), messages, "rows.jsonl:1")


def case(
    model: ScriptedChat,
    *found: Measured,
    axis: Axis = Axis.QUALITY,
    of: Sample | None = None,
    attempts: int = 3,
    score: Measurements | None = None,
) -> Case:
    of = of or sample()
    chat = Direct(model)
    return Case(
        sample=of,
        axis=axis,
        neighbours=("How do trees drink in summer?", "Where do birds fly in winter?"),
        attempts=attempts,
        rewriter=Rewriter(chat),
        critic=Critic(chat),
        checks=CheckContext(
            similarity=(0.6, 0.995),
            length_ratio=(0.2, 5.0),
            embed=embed,
            flagged=frozenset({axis}),
            decontamination=EvaluationIndex.build([]),
        ),
        prover=Prover(score or Measurements(*(found or (SOUND,))), evidence(of.id)),
    )


async def test_an_answer_that_is_sound_stays_where_the_prompt_alone_is_rewritten() -> None:
    stumbling = "Why do leaves, no I mean, explain to a child why leaves fall from trees in autumn."
    model = ScriptedChat(replies=[{"prompt": PROMPT}, ACCEPT])
    whole = sample(stumbling, GOOD["answer"])
    one = case(model, measured(1.2, 0.9), axis=Axis.COMPLEXITY, of=whole)
    found = await ended(replace(one, answer_stays=True))
    assert (found["fate"], found["reason"]) == ("accepted", "")
    assert len(model.calls) == 2
    assert [turn["content"] for turn in found["row"]["messages"]] == [PROMPT, GOOD["answer"]]


async def ended(one: Case) -> RefineState:
    """Refine, and hold the end state against its own JSON: it must be able to lie in a file."""
    found = await refine(build_refine(), one)
    assert found == json.loads(json.dumps(found, allow_nan=False))
    return found


def asked(model: ScriptedChat, call: int) -> str:
    return model.calls[call].messages[-1].text


def verdicts(found: RefineState) -> list[str]:
    return [row["verdict"] for row in found["tried"]]


async def test_every_verdict_is_told_with_the_node_that_asked() -> None:
    told: list[Any] = []
    model = ScriptedChat(replies=[WRAPPED, GOOD, REVISE, BETTER, ACCEPT])
    one = replace(case(model), round=4, trace=told.append)
    found = await ended(one)
    assert {(event.round, event.sample_id) for event in told} == {(4, one.sample.id)}
    nodes = [(event.attempt, event.node) for event in told]
    order = [(1, "checks"), (2, "checks"), (2, "critique"), (3, "checks"), (3, "critique")]
    assert list(dict.fromkeys(nodes)) == [*order, (3, "proof")]
    for row in found["tried"]:
        of_row = [event for event in told if event.proposal_id == row["id"]]
        checks = [event for event in of_row if event.node == "checks"]
        kept = [(check["name"], check["passed"], check["numbers"]) for check in row["checks"]]
        assert [(event.gate, event.passed, event.numbers) for event in checks] == kept
    refused = [(event.attempt, event.gate) for event in told if not event.passed]
    assert refused == [(1, "wrapper"), (2, "critic")]
    assert told[-1].gate == "proof.quality"
    assert "nothing about roots" in next(e.reason for e in told if e.gate == "critic")


async def test_a_proposal_that_passes_every_gate_is_accepted() -> None:
    model = ScriptedChat(replies=[GOOD, ACCEPT])
    score = Measurements(SOUND)
    found = await ended(case(model, score=score))
    assert (found["fate"], found["reason"], found["attempt"]) == ("accepted", "", 1)
    (row,) = found["tried"]
    assert row["verdict"] == "accepted"
    assert row["parent_id"] == sample().id
    assert (row["axis"], row["attempt"], row["adds"]) == ("quality", 1, False)
    assert row["messages"] == [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": GOOD["answer"]},
    ]
    assert row["checks"]
    assert all(check["passed"] for check in row["checks"])
    assert row["critique"] == {**ACCEPT, "passed": True}
    assert row["proof"]["name"] == "proof.quality"
    assert row["proof"]["passed"]
    assert [item.key for item in score.items] == [row["id"]]
    assert len(model.calls) == 2


async def test_what_the_checks_refuse_never_reaches_critic_or_proof() -> None:
    model = ScriptedChat(replies=[WRAPPED, GOOD, ACCEPT])
    score = Measurements(SOUND)
    found = await ended(case(model, score=score))
    assert found["fate"] == "accepted"
    assert verdicts(found) == ["rejected", "accepted"]
    first, second = found["tried"]
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["reason"].startswith("wrapper: ")
    assert first["critique"] is None
    assert first["proof"] is None
    assert len(model.calls) == 3
    assert len(score.items) == 1
    refused = next(check for check in first["checks"] if not check["passed"])
    assert refused["reason"] not in asked(model, 0)
    assert refused["reason"] in asked(model, 1)


async def test_the_critics_feedback_reaches_the_next_attempt() -> None:
    model = ScriptedChat(replies=[GOOD, REVISE, BETTER, ACCEPT])
    found = await ended(case(model))
    assert verdicts(found) == ["rejected", "accepted"]
    assert found["tried"][0]["reason"] == "critic: nothing about roots"
    assert found["tried"][0]["proof"] is None
    assert "nothing about roots" in asked(model, 2)
    assert found["tried"][1]["messages"][-1]["content"] == BETTER["answer"]


async def test_the_proofs_words_reach_the_next_attempt_without_its_numbers() -> None:
    model = ScriptedChat(replies=[GOOD, ACCEPT, BETTER, ACCEPT])
    found = await ended(case(model, WEAK, SOUND))
    assert verdicts(found) == ["rejected", "accepted"]
    proof = found["tried"][0]["proof"]
    assert proof["numbers"]["quality"] == 0.32
    assert proof["reason"] in asked(model, 2)
    assert "0.32" not in asked(model, 2)


async def test_an_old_attempts_feedback_is_not_repeated() -> None:
    model = ScriptedChat(replies=[GOOD, REVISE, BETTER, ACCEPT, GOOD, ACCEPT])
    await ended(case(model, WEAK, SOUND))
    assert "nothing about roots" in asked(model, 2)
    assert "nothing about roots" not in asked(model, 4)
    assert "not clearly sounder" in asked(model, 4)


async def test_the_original_stays_after_the_last_attempt() -> None:
    model = ScriptedChat(replies=[GOOD, REVISE, BETTER, REVISE])
    score = Measurements(SOUND)
    found = await ended(case(model, attempts=2, score=score))
    assert (found["fate"], found["attempt"]) == ("rejected", 2)
    assert found["reason"] == "critic: nothing about roots"
    assert verdicts(found) == ["rejected", "rejected"]
    assert len(model.calls) == 4
    assert score.items == []


async def test_a_critic_that_rejects_is_heard() -> None:
    reject = {**ACCEPT, "verdict": "reject", "feedback": "off the subject"}
    found = await ended(case(ScriptedChat(replies=[GOOD, reject]), attempts=1))
    assert (found["fate"], found["reason"]) == ("rejected", "critic: off the subject")
    assert found["tried"][0]["critique"] == {**reject, "passed": False}


async def test_ten_attempts_are_possible() -> None:
    model = ScriptedChat(replies=[GOOD, ACCEPT] * 10)
    found = await ended(case(model, WEAK, attempts=10))
    assert found["fate"] == "rejected"
    assert [row["attempt"] for row in found["tried"]] == list(range(1, 11))
    assert found["reason"].startswith("proof.quality: ")


async def test_no_usable_answer_fails_the_sample() -> None:
    found = await ended(case(ScriptedChat(replies=["no JSON", "none again"])))
    assert found["fate"] == "failed"
    assert found["reason"].startswith("rewriter: ")
    assert found["tried"] == []


async def test_a_rewriter_that_fails_later_leaves_its_earlier_attempts() -> None:
    model = ScriptedChat(replies=[GOOD, REVISE, "no JSON", "none again"])
    found = await ended(case(model))
    assert found["fate"] == "failed"
    assert verdicts(found) == ["rejected"]


async def test_no_usable_critique_fails_the_sample_with_its_proposal_on_record() -> None:
    found = await ended(case(ScriptedChat(replies=[GOOD, "no JSON", "none again"])))
    assert found["fate"] == "failed"
    assert found["reason"].startswith("critic: ")
    (row,) = found["tried"]
    assert (row["verdict"], row["reason"]) == ("failed", found["reason"])
    assert row["critique"] is None


@pytest.mark.parametrize("replies", [[RuntimeError("no account")], [GOOD, RuntimeError("gone")]])
async def test_a_provider_that_is_down_decides_nothing(replies: Sequence[Any]) -> None:
    with pytest.raises(ProviderError):
        await refine(build_refine(), case(ScriptedChat(replies=list(replies))))


async def test_a_cap_decides_nothing() -> None:
    one = case(ScriptedChat(replies=[GOOD]))
    spent = Case(
        one.sample,
        one.axis,
        one.neighbours,
        one.attempts,
        Rewriter(Spent()),
        one.critic,
        one.checks,
        one.prover,
    )
    with pytest.raises(BudgetReached):
        await refine(build_refine(), spent)


QUOTED = sample(
    'Explain to a child why leaves fall in autumn, as in the film "Golden Days".',
    "Photosynthesis declines as insolation wanes, whereupon abscission layers sever the petioles.",
)
SIMPLER = {"prompt": "Explain to a child why leaves fall in autumn."}


@pytest.mark.parametrize(
    ("dropped", "fate"), [(["Golden Days"], "accepted"), ([], "rejected"), (["film"], "rejected")]
)
async def test_a_detail_may_go_only_if_the_critic_names_it(dropped: list[str], fate: str) -> None:
    model = ScriptedChat(replies=[SIMPLER, GOOD, {**ACCEPT, "dropped": dropped}])
    one = case(model, measured(1.2, 0.5), axis=Axis.COMPLEXITY, of=QUOTED, attempts=1)
    found = await ended(one)
    assert found["fate"] == fate
    (row,) = found["tried"]
    assert row["messages"][0]["content"] == SIMPLER["prompt"]
    by_name = {check["name"]: check["passed"] for check in row["checks"]}
    assert by_name["quotes"] is (fate == "accepted")
    if fate == "accepted":
        assert by_name["similarity"]  # run once the detail is excused
        assert row["proof"]["name"] == "proof.complexity"
    else:
        assert found["reason"].startswith("quotes: ")
        assert row["proof"] is None
    quotes = next(verdict for verdict in (await _plain_checks()) if verdict["name"] == "quotes")
    assert quotes["reason"] in asked(model, 2)  # the critic is told


async def _plain_checks() -> list[dict[str, Any]]:
    """Return the checks of that proposal without any excuse."""
    model = ScriptedChat(replies=[SIMPLER, GOOD, ACCEPT])
    found = await ended(case(model, axis=Axis.COMPLEXITY, of=QUOTED, attempts=1))
    checks: list[dict[str, Any]] = found["tried"][0]["checks"]
    return checks


async def test_a_number_may_not_go_whatever_the_critic_says() -> None:
    counted = sample("Explain in 3 steps why leaves fall in autumn.", QUOTED.answer)
    model = ScriptedChat(replies=[SIMPLER, GOOD, {**ACCEPT, "dropped": ["3", "3 steps"]}])
    found = await ended(case(model, axis=Axis.COMPLEXITY, of=counted, attempts=1))
    assert found["fate"] == "rejected"
    assert "numbers: " in found["reason"]
    assert len(model.calls) == 2  # the critic is not even asked


async def test_a_quality_repair_may_drop_nothing() -> None:
    asks = sample('Write one sentence that uses the word "leaf".', BROKEN)
    model = ScriptedChat(replies=[{"answer": "A leaf fell."}, ACCEPT])
    found = await ended(case(model, of=asks, attempts=1))
    assert found["tried"][0]["messages"][0]["content"] == asks.prompt


async def test_a_new_sample_stands_beside_the_sparse_one() -> None:
    new = {"prompt": "Tell me why some trees keep their needles in winter."}
    model = ScriptedChat(replies=[new, GOOD, ACCEPT])
    near = measured(1.2, 0.9, embedding=(5.0, 3.4, -1.0))
    found = await ended(case(model, near, axis=Axis.DIVERSITY))
    assert found["fate"] == "accepted", found["reason"]
    (row,) = found["tried"]
    assert row["adds"] is True
    assert row["messages"][0]["content"] == new["prompt"]
    assert "How do trees drink in summer?" in asked(model, 0)
    assert row["proof"]["name"] == "proof.diversity"


async def test_the_same_case_ends_the_same() -> None:
    ends = [
        await ended(case(ScriptedChat(replies=[WRAPPED, GOOD, REVISE, BETTER, ACCEPT]), SOUND))
        for _ in range(2)
    ]
    assert ends[0] == ends[1]
