import json

from middo.checks.suite import DROPPABLE, passed, run_checks
from middo.core.records import Axis

from .proposals import context, proposal, table

OLD = ("Name 3 rivers of Peru.", "Nile, Rhine, Seine.")
NEW = ("Which 3 rivers flow through Peru?", "The Amazon, the Ucayali and the Marañón.")
NEAR = table({OLD[0]: [1, 0], NEW[0]: [0.9, 0.4]})


def test_a_sound_replacement_passes_every_check() -> None:
    verdicts = run_checks(proposal(OLD, NEW), context(embed=NEAR))
    assert passed(verdicts), [verdict for verdict in verdicts if not verdict.passed]
    assert [verdict.name for verdict in verdicts] == [
        "empty", "wrapper", "echo",
        "refusal",
        "copied", "leakage", "invisible", "markup", "language", "answer_constraints",
        "decontamination", "unchanged", "history", "numbers", "quotes", "urls", "code",
        "constraints", "length", "similarity", "answer_similarity",
    ]  # fmt: skip
    assert not any(verdict.reason for verdict in verdicts)


def test_nothing_is_embedded_after_a_cheap_refusal() -> None:
    verdicts = run_checks(proposal(OLD, ("Which rivers flow through Peru?", NEW[1])), context())
    assert [verdict.name for verdict in verdicts if not verdict.passed] == ["numbers"]
    assert "similarity" not in {verdict.name for verdict in verdicts}


def test_every_cheap_refusal_is_reported() -> None:
    bad = ("Name rivers.", "<think>…</think> see https://b.org")
    refused = {v.name for v in run_checks(proposal(OLD, bad), context()) if not v.passed}
    assert refused == {"numbers", "wrapper", "leakage"}


def test_new_samples_have_their_own_checks() -> None:
    added = proposal(OLD, ("Which lake is the largest one in Peru?", "Titicaca."),
                     Axis.DIVERSITY, adds=True)  # fmt: skip
    vectors = table({OLD[0]: [1, 0], added.prompt: [0.5, 0.5]})
    verdicts = run_checks(added, context(embed=vectors))
    assert passed(verdicts)
    assert [verdict.name for verdict in verdicts] == [
        "empty", "wrapper", "echo",
        "refusal",
        "copied", "leakage", "invisible", "markup", "language", "answer_constraints",
        "decontamination", "novelty",
    ]  # fmt: skip


def test_an_answer_alone_may_be_repaired() -> None:
    repaired = proposal(OLD, (OLD[0], NEW[1]))
    assert passed(run_checks(repaired, context()))


def test_droppable_checks_name_checks_of_the_suite() -> None:
    verdicts = run_checks(proposal(OLD, NEW), context(embed=NEAR))
    assert {verdict.name for verdict in verdicts} >= DROPPABLE


def test_a_detail_dropped_on_purpose_passes_the_second_time() -> None:
    old = ('Explain "irony" with the film "Emma".', "It is a contrast.")
    new = ("Explain irony.", "It is a contrast of word and meaning.")
    simpler = proposal(old, new, Axis.COMPLEXITY)
    near = table({old[0]: [1, 0], new[0]: [0.5, 0.5]})
    first = run_checks(simpler, context(embed=near))
    assert {verdict.name for verdict in first if not verdict.passed} <= DROPPABLE
    assert not passed(first)
    assert passed(run_checks(simpler, context(embed=near, dropped=("Emma",))))


def test_verdicts_are_json_and_the_same_each_time() -> None:
    runs = [
        json.dumps(
            [verdict.as_dict() for verdict in run_checks(proposal(OLD, NEW), context(embed=NEAR))]
        )
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
