"""The proofs on real measurements of SmolLM2-135M: repairs pass, cheats do not.

`proofs.json` holds what the untuned model says of 86 demo rows (12 of them damaged), the controls
of 28 and some 200 proposals; `record_proofs.py` makes it and says how. Calibration, thresholds,
flags and proofs are the real code. Seen when it was recorded, passed of those offered:

    proposal                              quality   complexity   diversity
    honest: true answer or easier pair   11 of 12     11 of 12      1 of 5
    echo, plain or after a polite word    0 of 24      0 of 18     0 of 10
    a phrase or a sentence repeated       0 of 24      0 of 17     0 of 10
    the original, made shorter            0 of 19      3 of 12           -
    the honest answer, made shorter       7 of 21            -      0 of 5
    "I don't know."                       0 of 12       0 of 9      0 of 5
    a polite refusal                      0 of 12       0 of 9      0 of 5
    the prompt copied, plain or politely        -            -     0 of 10
    an unrelated prompt                         -            -      0 of 5

True answers fail where they are as predictable as the easiest tenth of the rows (a corrected text,
a list of titles); an easier pair fails whose prompt is still unusual. What passes and should not:

- A part of a list (complexity): a shorter list is a list. The rows are not flagged, so no run would
  propose it.

First sentences and thirds of the *true* answer are parts of a repair. They pass on quality only
where they are whole sentences.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from middo.agents.diagnostician import Diagnosis, diagnose
from middo.agents.prover import Evidence, Prover
from middo.agents.reference import fit_reference
from middo.agents.signal_table import Signals, collect
from middo.core.config import SignalsConfig
from middo.core.measures import Ask, Item, Measured
from middo.core.records import Axis, Verdict
from middo.signals.calibration import calibrate
from middo.signals.controls import KINDS
from middo.signals.density import Density, centre_and_normalise, density, mean_vector
from middo.signals.proof import Terms, loss_floor, median_quality
from middo.stores.vectors import ExactIndex

from .proof_cases import (
    SEED,
    Case,
    DataSet,
    all_items,
    complexity_cases,
    control_item,
    data_set,
    diversity_cases,
    quality_cases,
)
from .record_proofs import ASKS, MAX_LENGTH, MODEL, NUMBERS, RECORD, read_record

HONEST = ("truth", "simpler", "related")
ECHO_AND_REPETITION = ("echo", "echo_polite", "phrase", "sentence_repeated")
CASES = {
    Axis.QUALITY: quality_cases,
    Axis.COMPLEXITY: complexity_cases,
    Axis.DIVERSITY: diversity_cases,
}


@dataclass(frozen=True, slots=True)
class Round:
    """A diagnosis of real measurements, and the prover that it arms."""

    data: DataSet
    signals: Signals
    found: Diagnosis
    evidence: Evidence
    prover: Prover

    def prove(self, case: Case) -> Verdict:
        return asyncio.run(self.prover.prove(case.proposal))

    def flagged(self, axis: Axis) -> set[str]:
        return {flag.sample_id for flag in self.found.flags if flag.axis is axis}


@pytest.fixture(scope="module", name="diagnosed")
def fixture_diagnosed() -> Round:
    return diagnosed_round(data_set(), read_record())


def diagnosed_round(data: DataSet, record: dict[str, Measured]) -> Round:
    """Calibrate, diagnose and collect the evidence as a round does, with m = b."""
    broken: dict[str, dict[str, Measured]] = {}
    for control in data.controls:
        measured = record[control_item(data, control).key]
        broken.setdefault(control.kind, {})[control.row_id] = measured
    calibration = calibrate({s.id: record[s.id] for s in data.calibration}, broken, SEED)
    rows = {sample.id: record[sample.id] for sample in data.samples}
    signals = collect(data.samples, rows, rows, calibration, rows, one_model=True)
    raw = np.array([rows[name].embedding for name in signals.ids], dtype=np.float32)
    vectors = centre_and_normalise(raw)
    index = ExactIndex()
    index.add(signals.ids, vectors)
    near = density(signals.ids, vectors, signals.prompts, index.nearest)
    config = SignalsConfig()
    reference = fit_reference(signals, near, config, None)
    found = diagnose(
        signals,
        near,
        calibration,
        reference,
        config,
        holdout_loss=None,
        suppressed={axis: frozenset() for axis in Axis},
        clusters=None,
        drift=None,
        seed=7,
        number=0,
    )
    flagged = {flag.sample_id for flag in found.flags}
    calm = np.array([name not in flagged for name in signals.ids])
    assert reference.quality is not None
    terms = Terms(
        offset=0.0,
        loss_floor=loss_floor(signals.loss_base[calm]),
        margin=calibration.margin,
        quality_threshold=reference.quality.value,
        quality_median=median_quality(signals.quality[calm]),
    )
    evidence = Evidence(
        terms=terms,
        calibration=calibration,
        reference=reference,
        shift=0.0,
        signals=proof_rows(signals, near),
        ids=signals.ids,
        vectors=vectors,
        mean=mean_vector(raw),
        neighbours=config.neighbours,
    )

    def score(items: Sequence[Item], asks: frozenset[Ask]) -> list[Measured]:
        return [record[item.key] for item in items]

    return Round(data, signals, found, evidence, Prover(score, evidence))


def proof_rows(signals: Signals, near: Density) -> dict[str, dict[str, Any]]:
    """Return what a proof asks of the rows, as `signals.parquet` has it."""
    return {
        name: {
            "quality": None if np.isnan(signals.quality[i]) else float(signals.quality[i]),
            "answer_tokens": int(signals.answer_tokens[i]),
            "prompt_tokens": int(signals.prompt_tokens[i]),
            "loss_tuned": float(signals.loss_base[i]),  # m is b
            "neighbours": list(near.neighbours[i]),
        }
        for i, name in enumerate(signals.ids)
    }


@dataclass(frozen=True, slots=True)
class Trial:
    """The verdicts on all proposals of one axis."""

    verdicts: list[tuple[Case, Verdict]]

    def passed(self, *tricks: str) -> list[Case]:
        return [case for case, found in self.verdicts if case.trick in tricks and found.passed]

    def offered(self, *tricks: str) -> list[Case]:
        return [case for case, _ in self.verdicts if case.trick in tricks]

    def share(self, *tricks: str) -> float:
        return len(self.passed(*tricks)) / len(self.offered(*tricks))


@pytest.fixture(scope="module", name="trials")
def fixture_trials(diagnosed: Round) -> dict[Axis, Trial]:
    return {
        axis: Trial([(case, diagnosed.prove(case)) for case in build(diagnosed.data)])
        for axis, build in CASES.items()
    }


def test_the_record_holds_what_the_cases_need() -> None:
    missing = all_items().keys() - read_record().keys()
    assert not missing, "cases or demo set changed; run python -m tests.agents.record_proofs"
    assert RECORD.stat().st_size < 300_000


def test_every_kind_of_control_counts_with_the_real_model(diagnosed: Round) -> None:
    calibration = diagnosed.evidence.calibration
    assert calibration.on
    assert {kind.kind for kind in calibration.kinds if kind.counts} == set(KINDS)
    assert calibration.margin is not None
    assert 0.05 < calibration.margin < 0.25


@pytest.mark.parametrize("axis", list(Axis))
@pytest.mark.parametrize("trick", ECHO_AND_REPETITION)
def test_neither_echo_nor_repetition_passes(
    trials: dict[Axis, Trial], axis: Axis, trick: str
) -> None:
    assert len(trials[axis].offered(trick)) >= 5
    assert trials[axis].passed(trick) == []


def test_an_original_that_is_merely_shortened_passes_neither_quality_nor_complexity(
    trials: dict[Axis, Trial], diagnosed: Round
) -> None:
    quality = trials[Axis.QUALITY]
    assert len(quality.offered("original_third", "original_sentence")) >= 15
    assert quality.passed("original_third", "original_sentence") == []
    flagged = diagnosed.flagged(Axis.COMPLEXITY)
    complexity = trials[Axis.COMPLEXITY]
    offered = complexity.offered("third", "sentence")
    assert len([case for case in offered if case.proposal.parent.id in flagged]) >= 4
    passed = complexity.passed("third", "sentence")
    assert [case for case in passed if case.proposal.parent.id in flagged] == []


def test_known_weakness_a_shorter_list_is_still_a_list(trials: dict[Axis, Trial]) -> None:
    assert len(trials[Axis.COMPLEXITY].passed("third", "sentence")) <= 3
    assert len(trials[Axis.DIVERSITY].passed("third", "sentence")) <= 1


def test_of_a_true_answer_only_whole_sentences_pass(trials: dict[Axis, Trial]) -> None:
    parts = trials[Axis.QUALITY].passed("third", "sentence")
    assert len(parts) <= 7
    assert all(case.proposal.answer[-1] in ".!?" for case in parts)


@pytest.mark.parametrize("axis", list(Axis))
def test_a_safe_answer_of_three_words_never_passes(trials: dict[Axis, Trial], axis: Axis) -> None:
    assert trials[axis].offered("safe")
    assert trials[axis].passed("safe") == []


@pytest.mark.parametrize("axis", list(Axis))
def test_a_polite_refusal_never_passes(trials: dict[Axis, Trial], axis: Axis) -> None:
    assert len(trials[axis].offered("refusal")) >= 5
    assert trials[axis].passed("refusal") == []


def test_a_new_sample_is_neither_a_copy_nor_a_stranger(trials: dict[Axis, Trial]) -> None:
    reasons = {"copied": "nearly the same", "copied_polite": "nearly the same"}
    for trick, reason in {**reasons, "unrelated": "too far"}.items():
        found = [v for case, v in trials[Axis.DIVERSITY].verdicts if case.trick == trick]
        assert len(found) == 5
        assert all(reason in verdict.reason for verdict in found), trick


def test_honest_proposals_pass_often_enough(trials: dict[Axis, Trial]) -> None:
    assert trials[Axis.QUALITY].share("truth") >= 0.9
    assert trials[Axis.COMPLEXITY].share("truth", "simpler") >= 0.85
    assert trials[Axis.DIVERSITY].share("related") >= 0.2


@pytest.mark.slow
def test_the_real_model_still_says_what_was_recorded() -> None:
    from middo.training.scorer import Scorer
    from middo.training.sources import resolve_model

    row, whole, _ = data_set().damaged[0]
    echoed = next(case for case in quality_cases(data_set()) if case.trick == "echo_polite")
    assert echoed.proposal.parent == row
    record = read_record()
    items = [
        Item(row.id, row.messages),
        Item(whole.id, whole.messages),
        Item(echoed.proposal.id, echoed.proposal.messages),
    ]
    scorer = Scorer(resolve_model(MODEL).folder, max_length=MAX_LENGTH)
    for item, one in zip(items, scorer.score(items, ASKS), strict=True):
        for name in NUMBERS:
            recorded = getattr(record[item.key], name)
            assert getattr(one, name) == pytest.approx(recorded, abs=0.02), name
