"""Damage does what it says to a row, and the same every time."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.damage import (
    BUILT,
    KINDS,
    REFUSALS,
    SEEDED,
    Pair,
    Surroundings,
    cut_at_sentence_end,
    damage,
    damaged,
    run_on,
    swapped_name,
    wrong_final_number,
)
from benchmarks.disfluency import Interruption, interrupted, interruption, interruptions, read_pairs
from benchmarks.seeding import (
    RAREST_FIRST,
    evenly,
    fitting_kinds,
    read_lines,
    read_rows,
    seed_defects,
    split_off,
    write_rows,
)
from middo.formats.importing import import_data
from middo.signals.controls import KINDS as CONTROLS
from tests.benchmarks.damaging import pairs, write_disfluent, write_pairs

WAYS = [Interruption(0.5, 2, ("no", "sorry"))]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def around() -> Surroundings:
    return Surroundings(pairs(), WAYS)


@pytest.mark.parametrize("kind", [*SEEDED, *KINDS])
def test_every_kind_changes_one_side_of_a_row_and_repeats_itself(
    kind: str, around: Surroundings
) -> None:
    row = pairs()[100 if kind == "number" else 0]
    broken = damaged(kind, row, around, 7)
    assert broken is not None and broken.id == row.id
    assert broken == damaged(kind, row, around, 7)
    assert (broken.prompt != row.prompt) == (kind == "disfluent")
    assert (broken.answer != row.answer) == (kind != "disfluent")


def test_damage_that_is_not_known_is_refused(around: Surroundings) -> None:
    with pytest.raises(ValueError, match="'burnt'"):
        damaged("burnt", pairs()[0], around, 7)


def test_kinds_that_calibration_builds_name_its_controls() -> None:
    assert set(BUILT) < set(SEEDED) and set(BUILT.values()) <= set(CONTROLS)
    assert set(RAREST_FIRST) == set(SEEDED)


def test_another_answer_is_one_of_the_rows_and_the_nearest_that_of_the_nearest_prompt() -> None:
    rows = [
        Pair("a", "Name a river in France.", "The Seine flows through Paris."),
        Pair("b", "Name a river in Spain.", "The Ebro flows to the sea."),
        Pair("c", "How do I bake bread?", "Mix flour and water, then wait."),
    ]
    around = Surroundings(rows)
    assert around.nearest(rows[0]) == rows[1].answer
    drawn = {around.other(rows[0], rng(seed)) for seed in range(20)}
    assert drawn == {rows[1].answer, rows[2].answer}
    assert Surroundings(rows[:1]).other(rows[0], rng()) is None


def test_a_cut_stands_at_a_sentence_end() -> None:
    answer = "It is cold in the north. It is warm in the south. It rains in the west."
    assert cut_at_sentence_end(answer) in (
        "It is cold in the north.",
        "It is cold in the north. It is warm in the south.",
    )
    assert cut_at_sentence_end("no end here") is None
    assert cut_at_sentence_end("No. It is cold.") is None


def test_a_run_on_keeps_the_answer_and_goes_round_in_its_end() -> None:
    answer = "one two three four five six"
    long = run_on(answer, rng())
    assert long is not None and long.startswith(f"{answer} four five six four five six four")
    assert len(long.split()) > 3 * 3
    assert run_on("two words", rng()) is None


def test_only_the_final_number_is_wrong() -> None:
    answer = "They buy 2*3=6 apples.\n#### 6"
    wrong = wrong_final_number(answer, rng())
    assert wrong is not None and re.fullmatch(r"They buy 2\*3=6 apples.\n#### [^6]", wrong)
    assert wrong_final_number("They buy 6 apples.", rng()) is None
    large = wrong_final_number("so\n#### -1,200", rng())
    assert large is not None and re.fullmatch(r"so\n#### -\d,\d{3}", large)


def test_a_name_is_swapped_wherever_it_stands() -> None:
    swapped = swapped_name("We met Anna, and Anna met us.", rng())
    assert swapped is not None and "Anna" not in swapped
    first, second = re.findall(r"[A-Z]\w+", swapped)[1:]
    assert first == second
    assert swapped_name("Nobody was there.", rng()) is None


def test_a_refusal_is_boiler_plate(around: Surroundings) -> None:
    broken = damaged("refusal", pairs()[0], around, 7)
    assert broken is not None and broken.answer in REFUSALS


def test_the_damage_of_quality_is_told_by_kind_and_row() -> None:
    found = damage(pairs()[:3], pairs(), 7)
    assert set(found) == set(KINDS)
    assert found["parrot"]["row-0"].startswith("You are asking the following: What can you tell me")


def test_a_false_start_is_read_from_a_pair(tmp_path: Path) -> None:
    assert interruption("What was its name?", "What was its river no sorry name?") == Interruption(
        0.75, 1, ("no", "sorry")
    )
    assert interruption("What was its name?", "What was its river?") is None
    assert interruption("What was its name?", "What was its own name?") is None
    told = read_pairs(write_disfluent(tmp_path / "questions.json"))
    assert told is not None and len(told) == 3
    assert [way.ending for way in interruptions(told)] == [("no", "sorry"), ("or", "wait")]
    assert read_pairs(write_pairs(tmp_path / "rows.jsonl")) is None


def test_a_question_is_disturbed_and_the_rest_of_the_prompt_is_kept() -> None:
    prompt = "Read this first.\nWho lives in the old house? Be brief."
    other = "Which boats come to the sea?"
    told = interrupted(prompt, [prompt, other], WAYS, rng())
    assert told == "Read this first.\nWho lives in to the no sorry the old house? Be brief."
    assert interrupted("Who is it?", [other], WAYS, rng()) is None
    assert interrupted(prompt, [prompt], WAYS, rng()) is None
    assert interrupted(prompt, [other], [], rng()) is None


def test_seeded_rows_are_each_there_once_with_what_they_were(around: Surroundings) -> None:
    rows = pairs()
    counts = evenly(24)
    assert sum(counts.values()) == 24 and set(counts) == set(SEEDED)
    found = seed_defects(rows, around, clean=40, counts=counts, seed=7)
    assert found == seed_defects(rows, around, clean=40, counts=counts, seed=7)
    assert len({row.original.id for row in found}) == len(found) == 64
    assert all((row.now == row.original) == (not row.kind) for row in found)
    assert {kind: sum(row.kind == kind for row in found) for kind in SEEDED} == counts
    assert any(row.kind for row in found[:16])  # in random order
    with pytest.raises(ValueError, match="give more --data"):
        seed_defects(rows, around, clean=140, counts=counts, seed=7)


def test_a_hold_out_is_split_off_by_kind(around: Surroundings) -> None:
    found = seed_defects(pairs(), around, clean=40, counts=evenly(24), seed=7)
    rows, held = split_off(found, {"": 5, "number": 1, "name": 2})
    kinds = [row.kind for row in held]
    assert len(held) == 8 and kinds.count("") == 5 and kinds.count("name") == 2
    assert {row.original.id for row in rows}.isdisjoint(row.original.id for row in held)
    assert len(rows) + len(held) == len(found)


def test_rows_are_read_from_several_files_and_written_for_middo(
    tmp_path: Path, around: Surroundings
) -> None:
    files = [write_pairs(tmp_path / "a.jsonl"), write_pairs(tmp_path / "b.jsonl"),
             write_disfluent(tmp_path / "c.json")]  # fmt: skip
    rows, ways = read_rows([str(file) for file in files])
    assert len(rows) == 144 and len(ways) == 2
    assert fitting_kinds(pairs()[0], around, 7) == [kind for kind in SEEDED if kind != "number"]
    found = seed_defects(rows, around, clean=10, counts={"number": 2}, seed=7)
    write_rows(tmp_path / "rows.jsonl", found, [{"place": n} for n in range(12)])
    samples = import_data(str(tmp_path / "rows.jsonl")).samples
    assert [sample.prompt for sample in samples] == [row.now.prompt for row in found]
    lines = read_lines(tmp_path / "rows.jsonl")
    assert [line["was"]["answer"] for line in lines] == [row.original.answer for row in found]
    assert lines[3]["place"] == 3
    with (tmp_path / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"cut by a k')
    assert read_lines(tmp_path / "rows.jsonl") == lines
