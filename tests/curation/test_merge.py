import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from middo.core.errors import MiddoError
from middo.core.records import Axis, Message, Sample, sample_id
from middo.curation.merge import Counts, Outcome, assert_balanced, assert_imported, merge

Messages = tuple[Message, ...]


def pair(prompt: str, answer: str = "An answer.") -> Messages:
    return Message("user", prompt), Message("assistant", answer)


def version(rows: int = 40) -> list[Sample]:
    found = []
    for number in range(rows):
        messages = pair(f"Question {number}?")
        meta = {"topic": number, "_middo": {"form": "alpaca"}}
        found.append(Sample(sample_id(messages), messages, f"data.json:{number + 1}", meta=meta))
    return found


def accepted(sample: Sample, text: str, adds: bool = False) -> Outcome:
    axis = Axis.DIVERSITY if adds else Axis.QUALITY
    return Outcome(sample.id, axis, "accepted", messages=pair(text), adds=adds)


def test_replaced_rows_keep_their_place_and_what_belongs_to_the_row() -> None:
    rows = version()
    plan = merge(rows, [accepted(rows[3], "Better question?")], round=2, added_share=0.05)
    after = list(plan.rows(rows))
    assert [row.id for row in after[:3] + after[4:]] == [row.id for row in rows[:3] + rows[4:]]
    new = after[3]
    assert (new.origin, new.parent_id, new.round) == ("rewritten", rows[3].id, 2)
    assert (new.source, new.meta) == (rows[3].source, rows[3].meta)
    assert new.id == sample_id(new.messages)
    assert plan.counts.replaced == plan.counts.accepted == 1
    assert plan.counts.rows_out == 40


def test_added_rows_follow_and_have_no_fields_of_their_parents_own() -> None:
    rows = version()
    plan = merge(rows, [accepted(rows[5], "A new one?", adds=True)], round=0, added_share=0.05)
    after = list(plan.rows(rows))
    assert after[:40] == rows
    assert (after[40].origin, after[40].parent_id) == ("added", rows[5].id)
    assert after[40].meta == {"_middo": {"form": "alpaca"}}
    assert (plan.counts.rows_out, plan.counts.added) == (41, 1)


def test_every_fate_is_counted_and_the_original_stays() -> None:
    rows = version()
    outcomes = [
        accepted(rows[0], "Better?"),
        Outcome(rows[1].id, Axis.QUALITY, "rejected", "too long"),
        Outcome(rows[2].id, Axis.COMPLEXITY, "failed", "no answer"),
        Outcome(rows[3].id, Axis.QUALITY, "deferred", "beyond the budget"),
    ]
    plan = merge(rows, outcomes, round=0, added_share=0.05)
    assert plan.counts == Counts(
        rows_in=40, rows_out=40, kept=39, replaced=1, dropped=0, added=0,
        flagged=4, accepted=1, rejected=1, failed=1, deferred=1,
    )  # fmt: skip
    assert list(plan.rows(rows))[1:] == rows[1:]


def test_the_cap_defers_what_comes_later_in_order_of_id() -> None:
    rows = version()
    outcomes = [accepted(rows[i], f"New {i}?", adds=True) for i in range(5)]
    plan = merge(rows, outcomes, round=0, added_share=0.05)
    by_id = sorted(row.id for row in rows[:5])
    assert [row.parent_id for row in plan.added] == by_id[:2]
    assert [o.fate for o in plan.outcomes] == ["accepted"] * 2 + ["deferred"] * 3
    assert "added_share" in plan.outcomes[2].reason
    assert plan.outcomes[2].messages is None


def test_the_order_of_outcomes_makes_no_difference() -> None:
    rows = version()
    outcomes = [accepted(rows[i], f"New {i % 7}?", adds=i % 2 == 0) for i in range(12)]
    expected = merge(rows, outcomes, round=0, added_share=0.1)
    for seed in range(5):
        shuffled = random.Random(seed).sample(outcomes, len(outcomes))
        assert merge(rows, shuffled, round=0, added_share=0.1) == expected


def test_exact_copies_of_rows_and_of_each_other_are_rejected() -> None:
    rows = version()
    copy = replace(rows[39], id=f"{rows[0].id}-2", messages=rows[0].messages)
    rows[39] = copy
    outcomes = [
        accepted(rows[1], "Question 7?"),
        accepted(rows[2], "Question 0?"),
        accepted(rows[3], "Same?"),
        accepted(rows[4], "Same?"),
        accepted(rows[5], "Same?", adds=True),
    ]
    plan = merge(rows, outcomes, round=0, added_share=0.2)
    fates = {outcome.sample_id: outcome.fate for outcome in plan.outcomes}
    first, second = sorted([rows[3].id, rows[4].id])
    assert fates[rows[1].id] == fates[rows[2].id] == fates[rows[5].id] == "rejected"
    assert (fates[first], fates[second]) == ("accepted", "rejected")
    ids = [row.id for row in plan.rows(rows)]
    assert len(set(ids)) == len(ids)


def test_a_new_row_near_another_accepted_one_is_rejected() -> None:
    rows = version()
    old, new = accepted(rows[0], "Replaced?"), accepted(rows[1], "Added?", adds=True)
    vectors = {
        rows[0].id: np.array([1, 0], dtype=np.float32),
        rows[1].id: np.array([0.96, 0.28], dtype=np.float32),
    }
    plan = merge(rows, [old, new], round=0, added_share=0.2, vectors=vectors)
    assert plan.counts.rejected == 1
    assert [o.fate for o in plan.outcomes if o.adds] == ["rejected"]
    vectors[rows[1].id] = np.array([0.94, 0.34], dtype=np.float32)
    plan = merge(rows, [old, new], round=0, added_share=0.2, vectors=vectors)
    assert plan.counts.accepted == 2


def test_many_new_rows_are_compared_as_if_one_by_one() -> None:
    rows = version(1400)
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(400, 8))
    outcomes, vectors = [], {}
    for number, sample in enumerate(rows[:900]):
        outcomes.append(accepted(sample, f"New {number}?", adds=number >= 100))
        vector = centres[number % 400] + 0.15 * rng.normal(size=8)
        vectors[sample.id] = (vector / np.linalg.norm(vector)).astype(np.float32)
    plan = merge(rows, outcomes, round=0, added_share=1.0, vectors=vectors)
    taken = [vectors[one.sample_id] for one in outcomes if not one.adds]
    expected = {}
    for outcome in sorted(outcomes, key=lambda one: one.sample_id):
        if outcome.adds:
            nearest = max(round(float(held @ vectors[outcome.sample_id]), 4) for held in taken)
            expected[outcome.sample_id] = "rejected" if nearest > 0.95 else "accepted"
            if nearest <= 0.95:
                taken.append(vectors[outcome.sample_id])
    assert {o.sample_id: o.fate for o in plan.outcomes if o.adds} == expected
    assert 100 < plan.counts.rejected < 700


def test_a_rejected_proposal_stands_in_nobodys_way() -> None:
    rows = version()
    outcomes = [accepted(rows[i], f"New {i}?", adds=True) for i in range(3)]
    same = np.array([1, 0], dtype=np.float32)
    other = np.array([0, 1], dtype=np.float32)
    one, two, three = sorted(row.id for row in rows[:3])
    plan = merge(
        rows, outcomes, round=0, added_share=0.2, vectors={one: same, two: same, three: other}
    )
    assert [outcome.fate for outcome in plan.outcomes] == ["accepted", "rejected", "accepted"]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([Outcome("x", Axis.QUALITY, "rejected")] * 2, "two outcomes"),
        ([Outcome("x", Axis.QUALITY, "accepted")], "has no proposal"),
        ([Outcome("x", Axis.QUALITY, "rejected", messages=pair("q"))], "has a proposal"),
        ([Outcome("x", Axis.QUALITY, "rejected")], "'x' is not a row"),
    ],
)
def test_outcomes_that_cannot_be_are_refused(outcomes: list[Outcome], message: str) -> None:
    with pytest.raises(MiddoError, match=message):
        merge(version(), outcomes, round=0, added_share=0.05)


def test_a_plan_refuses_another_version_than_its_own() -> None:
    rows = version()
    plan = merge(rows, [], round=0, added_share=0.05)
    with pytest.raises(MiddoError, match="39 rows, the plan was made for 40"):
        list(plan.rows(rows[1:]))


BALANCED = Counts(
    rows_in=100, rows_out=103, kept=94, replaced=6, dropped=0, added=3,
    flagged=20, accepted=9, rejected=7, failed=1, deferred=3,
)  # fmt: skip


def test_balanced_counts_pass() -> None:
    assert_balanced(BALANCED)
    assert Counts(**BALANCED.as_dict()) == BALANCED


@pytest.mark.parametrize(
    ("changed", "equation"),
    [
        ({"rows_in": 101}, "rows_in 101 is not kept 94"),
        ({"dropped": 1}, "rows_in"),
        ({"rows_out": 102}, "rows_out 102 is not kept 94"),
        ({"flagged": 21}, "flagged 21 is not accepted 9"),
        ({"deferred": 4}, "flagged"),
        ({"accepted": 8, "rejected": 8}, "accepted 8 is not replaced 6"),
        ({"kept": 95}, "rows_in"),
        ({"failed": -1, "deferred": 5}, "failed is below zero"),
    ],
)
def test_each_broken_equation_stops_the_run(changed: dict[str, Any], equation: str) -> None:
    with pytest.raises(MiddoError, match=equation):
        assert_balanced(replace(BALANCED, **changed))


def test_imported_rows_must_all_have_gone_somewhere() -> None:
    parts = {"rows": 72, "holdout": 24, "quarantined": 3, "not_selected": 51}
    assert_imported(imported=150, **parts)
    for key in parts:
        with pytest.raises(MiddoError, match="imported 150 is not rows"):
            assert_imported(imported=150, **{**parts, key: parts[key] + 1})
