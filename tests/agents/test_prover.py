"""A proposal is measured once, alone, and held against the round's evidence by its axis."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from middo.agents.prover import Prover
from middo.agents.reference import Reference
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Axis, Message, Proposal, Sample, Verdict
from middo.signals.complexity import ComplexityModel
from middo.signals.density import centre_and_normalise
from middo.signals.proof import Terms
from middo.signals.quality import Calibration
from middo.signals.robust import LengthBaseline
from middo.signals.thresholds import Choice
from tests.agents.evidence import (
    COMPLEXITY,
    OFF,
    RAW,
    TERMS,
    calibration,
    evidence,
    measured,
)

OLD = Message("assistant", "old")
ROW: dict[str, Any] = {
    "quality": 0.3,
    "answer_tokens": 20,
    "loss_tuned": 2.2,
    "neighbours": ["near", "far"],
}
READS = Reference(
    replace(COMPLEXITY, prompt=LengthBaseline((12,), (4.0, 3.0), (0.5, 0.5))),
    Choice(2.0, 0.1, ()),
    None,
    None,
    1.0,
)
"""Prompts are usual up to 5 nats per token, and from 12 tokens on up to 4."""


class Recorder:
    """A score function that returns one measurement and remembers what it was asked."""

    def __init__(self, answer: Measured, delay: float = 0.0) -> None:
        self.answer = answer
        self.delay = delay
        self.asked: list[tuple[Item, frozenset[Ask]]] = []
        self.active = 0
        self.most = 0

    def __call__(self, items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        self.active += 1
        self.most = max(self.most, self.active)
        time.sleep(self.delay)
        self.active -= 1
        self.asked += [(item, asks) for item in items]
        return [self.answer for _ in items]


def proposal(axis: Axis, answer: str = "new") -> Proposal:
    old = (Message("user", "q"), OLD)
    new = (Message("user", "q"), Message("assistant", answer))
    return Proposal(Sample("parent", old, "x:1"), axis, 1, new, adds=axis is Axis.DIVERSITY)


async def prove(axis: Axis, answer: Measured, **changes: Any) -> Verdict:
    return await Prover(Recorder(answer), evidence(**changes)).prove(proposal(axis))


async def test_quality_must_rise_whatever_the_loss_above_the_floor() -> None:
    good = await prove(Axis.QUALITY, measured(1.2, 0.7))
    assert (good.name, good.passed) == ("proof.quality", True)
    assert "loss_at_most" not in good.numbers
    assert good.numbers["loss_compared"] == pytest.approx(1.1)
    assert good.numbers["original_quality"] == 0.3
    assert not (await prove(Axis.QUALITY, measured(1.2, 0.38))).passed
    assert (await prove(Axis.QUALITY, measured(2.4, 0.7))).passed
    assert not (await prove(Axis.QUALITY, measured(0.4, 0.7))).passed


async def test_complexity_must_be_easy_enough_and_not_trivial() -> None:
    good = await prove(Axis.COMPLEXITY, measured(1.2, 0.6))
    assert (good.name, good.passed) == ("proof.complexity", True)
    assert good.numbers["loss_at_most"] == 1.0 + 2.0 * 0.5 + 0.25
    assert not (await prove(Axis.COMPLEXITY, measured(0.4, 0.6))).passed
    assert not (await prove(Axis.COMPLEXITY, measured(2.4, 0.6))).passed
    assert (await prove(Axis.COMPLEXITY, measured(2.4, 0.6), shift=0.5)).passed
    assert not (await prove(Axis.COMPLEXITY, measured(1.2, 0.45))).passed


async def test_complexity_needs_a_prompt_that_is_usual_for_its_length() -> None:
    async def of(loss: float | None, tokens: int, original: int = 20) -> Verdict:
        one = measured(1.2, 0.6, prompt=loss, prompt_tokens=tokens)
        row = {**ROW, "prompt_tokens": original}
        return await prove(Axis.COMPLEXITY, one, reference=READS, signals={"parent": row})

    good = await of(3.9, 20)
    assert good.passed
    assert (good.numbers["prompt_loss"], good.numbers["prompt_loss_at_most"]) == (3.9, 4.0)
    odd = await of(4.1, 20)
    assert not odd.passed
    assert "prompt still reads unusually" in odd.reason
    assert (await of(4.1, 10)).passed
    assert not (await of(None, 20)).passed
    assert (await prove(Axis.COMPLEXITY, measured(1.2, 0.6, prompt=9.0))).passed
    # A few words don't pass for being too few: they are held to the bound of the shortest prompts.
    assert (await of(5.1, 3)).numbers["prompt_loss_at_most"] == 5.0
    assert not (await of(5.1, 3)).passed
    assert "prompt_loss" not in (await of(9.0, 7, original=7)).numbers


async def test_a_prompt_that_tool_turns_fix_is_held_to_no_bound() -> None:
    answered = (Message("tool", "sunny"), Message("assistant", "new"))
    parent = Sample("parent", (Message("user", "q"), Message("tool", "sunny"), OLD), "x:1")
    fixed = Proposal(parent, Axis.COMPLEXITY, 1, (Message("user", "q"), *answered), adds=False)
    row = {**ROW, "prompt_tokens": 20}
    one = measured(1.2, 0.6, prompt=9.0, prompt_tokens=20)
    prover = Prover(Recorder(one), evidence(reference=READS, signals={"parent": row}))
    found = await prover.prove(fixed)
    assert found.passed
    assert "prompt_loss" not in found.numbers
    assert not (await prover.prove(proposal(Axis.COMPLEXITY))).passed


async def test_an_answer_that_stays_is_measured_as_the_trained_one_that_it_is() -> None:
    async def of(loss: float, before: float, answer: str = "old") -> Verdict:
        row = {**ROW, "prompt_tokens": 20, "loss_tuned": before}
        one = measured(loss, 0.6, prompt=3.0, prompt_tokens=20)
        prover = Prover(Recorder(one), evidence(reference=READS, signals={"parent": row}))
        return await prover.prove(proposal(Axis.COMPLEXITY, answer))

    kept = await of(2.3, 2.2)
    assert (kept.numbers["offset"], kept.numbers["loss_compared"]) == (0.0, 2.3)
    assert not kept.passed
    assert kept.numbers["original_loss"] == 2.2
    assert "under the new prompt the answer is still unusually hard" in kept.reason
    assert (await of(2.3, 2.2, "new")).passed
    # What was easy before may stay so; what becomes easy by its prompt alone may not.
    assert TERMS.loss_floor == 0.5
    assert (await of(0.3, 0.31)).passed
    assert (await of(0.3, 0.31)).numbers["loss_at_least"] == 0.155
    for before in (0.49, 0.5, 2.2):
        given_away = await of(0.001, before)
        assert not given_away.passed
        assert "it may be given away there" in given_away.reason
    assert (await of(0.6, 2.2)).passed
    assert not (await of(0.4, 2.2)).passed


async def test_a_shorter_answer_is_held_to_the_bound_of_the_one_it_replaces() -> None:
    baseline = LengthBaseline((15,), (3.0, 1.0), (0.5, 0.5))
    model = ComplexityModel(baseline, baseline, 0.5, 40)
    reference = Reference(model, Choice(2.0, 0.1, ()), None, None, 1.0)
    part = measured(2.4, 0.7, answer_tokens=10)
    found = await prove(Axis.COMPLEXITY, part, reference=reference)
    assert found.numbers["loss_at_most"] == 1.0 + 2.0 * 0.5 + 0.25
    assert not found.passed
    row = {"quality": 0.3, "answer_tokens": 10, "neighbours": []}
    found = await prove(Axis.COMPLEXITY, part, reference=reference, signals={"parent": row})
    assert found.numbers["loss_at_most"] == 3.0 + 2.0 * 0.5 + 0.25
    assert found.passed


@pytest.mark.parametrize("axis", list(Axis))
async def test_an_answer_of_few_tokens_is_refused_unless_the_original_is_as_short(
    axis: Axis,
) -> None:
    usual: dict[str, Any] = {"embedding": (1.0, 1.0, 0.0)}
    found = await prove(axis, measured(1.2, 0.9, answer_tokens=7, **usual))
    assert not found.passed
    assert found.numbers == {"answer_tokens": 7, "answer_tokens_at_least": 8}
    row = {"quality": 0.3, "answer_tokens": 7, "neighbours": ["near", "far"]}
    short = measured(1.2, 0.9, answer_tokens=7, **usual)
    assert "loss" in (await prove(axis, short, signals={"parent": row})).numbers


async def test_a_new_sample_must_make_the_sparse_region_denser() -> None:
    mean = RAW.mean(axis=0, dtype=np.float64)
    vectors = centre_and_normalise(RAW, mean)
    between = tuple(float(x) for x in mean + vectors[0] + 0.6 * vectors[1])
    found = await prove(Axis.DIVERSITY, measured(1.0, 0.85, embedding=between))
    assert found.passed
    expected = centre_and_normalise(np.array([between], np.float32), mean)[0]
    assert found.numbers["similarity"] == round(float(expected @ vectors[0]), 4)
    assert found.numbers["nearest"] == round(float((vectors @ expected).max()), 4)
    before = [float(vectors[i] @ vectors[0]) for i in (1, 2)]
    assert found.numbers["density"] == pytest.approx(np.mean(before), abs=1e-4)
    assert found.numbers["density_with"] > found.numbers["density"]

    weak = await prove(Axis.DIVERSITY, measured(1.0, 0.75, embedding=between))
    assert not weak.passed
    away = tuple(float(x) for x in mean - vectors[0])
    assert not (await prove(Axis.DIVERSITY, measured(1.0, 0.85, embedding=away))).passed
    copy = tuple(float(x) for x in RAW[2])
    copied = await prove(Axis.DIVERSITY, measured(1.0, 0.85, embedding=copy))
    assert copied.numbers["nearest"] == 1.0
    assert not copied.passed


@pytest.mark.parametrize("axis", list(Axis))
async def test_what_can_not_be_measured_is_refused(axis: Axis) -> None:
    found = await prove(axis, Measured(unscored="too_long"))
    assert (found.name, found.passed) == (f"proof.{axis}", False)
    assert found.numbers == {"unscored": "too_long"}


@pytest.mark.parametrize(
    ("axis", "quality", "asks"),
    [
        (Axis.QUALITY, calibration(), {"alone"}),
        (Axis.COMPLEXITY, OFF, {"prompt"}),
        (Axis.DIVERSITY, calibration(), {"alone", "embedding"}),
        (Axis.DIVERSITY, OFF, {"embedding"}),
    ],
)
async def test_only_what_the_proof_reads_is_asked(
    axis: Axis, quality: Calibration, asks: set[Ask]
) -> None:
    score = Recorder(measured(1.0, 0.9, embedding=(1.0, 1.0, 0.0)))
    terms = TERMS if quality.on else Terms(offset=0.0, loss_floor=0.5)
    one = proposal(axis)
    await Prover(score, evidence(calibration=quality, terms=terms)).prove(one)
    assert score.asked == [(Item(one.id, one.messages), frozenset(asks))]


async def test_proposals_are_scored_one_per_pass() -> None:
    score = Recorder(measured(1.2, 0.7), delay=0.02)
    prover = Prover(score, evidence())
    found = await asyncio.gather(
        *(prover.prove(proposal(Axis.QUALITY, f"new {number}")) for number in range(5))
    )
    assert [verdict.passed for verdict in found] == [True] * 5
    assert score.most == 1
    assert len(score.asked) == 5
