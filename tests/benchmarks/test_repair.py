"""The repair benchmark: its teacher, its figures, and all arms on a tiny model."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import HumanMessage

from benchmarks.damage import Surroundings
from benchmarks.defects import parsed, parts_main
from benchmarks.originals import NEEDLESS, Originals, script
from benchmarks.repair import seeded_folder
from benchmarks.repair_figures import PAIRS, common, mended, pooled
from benchmarks.repair_tables import repair_tables, report
from benchmarks.seeding import read_lines, seed_defects, write_rows
from middo.agents.critic import GOALS
from middo.core.records import Axis, Message, Sample
from middo.prompts.loader import load
from tests.benchmarks.damaging import SETTINGS, pairs, write_disfluent, write_pairs
from tests.benchmarks.test_damage import WAYS


@pytest.fixture
def lines(tmp_path: Path) -> list[dict[str, Any]]:
    around = Surroundings(pairs(), WAYS)
    counts = {"other": 1, "disfluent": 1}
    write_rows(tmp_path / "r.jsonl", seed_defects(pairs(), around, clean=2, counts=counts, seed=7))
    return read_lines(tmp_path / "r.jsonl")


def exchange(line: dict[str, Any]) -> tuple[str, str]:
    return line["messages"][0]["content"], line["messages"][1]["content"]


def asked(name: str, **texts: Any) -> list[Any]:
    return [HumanMessage(load(name).render(**texts).messages[-1][1])]


def test_the_teacher_hands_the_original_back(lines: list[dict[str, Any]]) -> None:
    answer = script(Originals(lines), False)
    by_kind = {line["kind"]: line for line in lines}
    prompt, wrong = exchange(by_kind["other"])
    filled = asked("rewrite_answer_quality", prompt=prompt, answer=wrong, feedback="not so")
    found = answer(filled, {"properties": {"answer": {}}})
    assert found == {"answer": by_kind["other"]["was"]["answer"]} != {"answer": wrong}
    stumbling, _ = exchange(by_kind["disfluent"])
    filled = asked("rewrite_prompt_complexity", prompt=stumbling)
    found = answer(filled, {"properties": {"prompt": {}}})
    assert found == {"prompt": by_kind["disfluent"]["was"]["prompt"]} != {"prompt": stumbling}
    prompt, sound = exchange(by_kind[""])
    filled = asked("rewrite_answer_quality", prompt=prompt, answer=sound)
    assert answer(filled, {"properties": {"answer": {}}}) == {"answer": sound}
    needless = script(Originals(lines), True)(filled, {"properties": {"answer": {}}})
    assert needless == {"answer": f"{sound} {NEEDLESS}"}


def test_as_critic_it_accepts_originals_alone(lines: list[dict[str, Any]]) -> None:
    answer = script(Originals(lines), True)
    line = next(line for line in lines if line["kind"] == "other")
    prompt, wrong = exchange(line)
    old = {"goal": GOALS[Axis.QUALITY], "old_prompt": prompt, "old_answer": wrong}

    def verdict(new: str) -> Any:
        filled = asked("critique", **old, new_prompt=prompt, new_answer=new)
        found: Any = answer(filled, {"properties": {"verdict": {}}})
        return found["verdict"]

    assert verdict(line["was"]["answer"]) == "accept"
    assert verdict(f"{line['was']['answer']} {NEEDLESS}") == "accept"
    assert verdict(wrong) == "reject"


def sample(number: int, prompt: str, answer: str, origin: Any = "seed") -> Sample:
    messages = (Message("user", prompt), Message("assistant", answer))
    return Sample(f"{number}{answer}", messages, f"rows.jsonl:{number + 1}", origin)


def test_repairs_and_harm_are_counted_by_row() -> None:
    was = {"prompt": "Name a river.", "answer": "The Seine is a river."}
    rows = [{"kind": kind, "was": was} for kind in ("cut", "cut", "name", "", "")]
    first = [sample(n, was["prompt"], "broken") for n in range(3)]
    first += [sample(n, was["prompt"], was["answer"]) for n in (3, 4)]
    last = [
        sample(0, was["prompt"], was["answer"], "rewritten"),
        sample(1, was["prompt"], "A river is the Rhine.", "rewritten"),
        first[2],
        first[3],
        sample(4, was["prompt"], "The Seine is a long river.", "rewritten"),
        sample(4, "Name a lake.", "The Lake of Como.", "added"),
    ]
    assert mended(rows, first, last) == {
        **{"damaged": 3, "repaired": 1, "replaced_damaged": 2, "nearer": 2},
        **{"clean": 2, "replaced_clean": 1, "kinds": {"cut": [1, 2], "name": [0, 1]}},
    }
    assert common("An apple.", "The apple") == 0.5


def losses(mean: float, seed: int) -> dict[str, tuple[float, int]]:
    rows = np.random.default_rng(0).normal(2.0, 0.5, size=60)
    noise = np.random.default_rng(seed + 1).normal(mean, 0.02, size=60)
    return {f"row-{n}": (float(rows[n] + noise[n]), 10) for n in range(60)}


def result(seed: int) -> dict[str, Any]:
    counts = {
        **{"damaged": 4, "repaired": 1, "replaced_damaged": 2, "nearer": 2, "clean": 12},
        **{"replaced_clean": 1, "kinds": {"cut": [1, 4]}, "sent_damaged": 3, "sent_clean": 2},
    }
    return {
        "seed": seed,
        "counts": {"middo": counts, "random": {**counts, "repaired": 0}},
        "losses": {
            "none": losses(0.0, seed),
            "random": losses(0.0, seed + 1),
            "middo": losses(-0.05, seed + 2),
            "all clean": losses(-0.1, seed + 3),
        },
    }


def test_seeds_are_pooled_and_told_apart() -> None:
    found = pooled([result(seed) for seed in (7, 17)])
    arms = found["arms"]
    assert arms["middo"]["damaged"] == 8 and arms["middo"]["repaired"] == 2
    assert arms["middo"]["kinds"] == {"cut": [2, 8]}
    assert "damaged" not in arms["none"] and arms["none"]["gap_closed"] is None
    means = {name: one["loss"] for name, one in arms.items()}
    assert means["all clean"] < means["middo"] < means["none"]
    assert arms["all clean"]["gap_closed"] == {"share": 1.0, "each": [1.0, 1.0]}
    assert arms["middo"]["gap_closed"]["share"] == pytest.approx(0.5, abs=0.1)
    pairs = {(one["arm"], one["against"]): one["difference"] for one in found["differences"]}
    chosen = pairs["middo", "random"]
    assert chosen["mean"] == pytest.approx(
        pairs["middo", "none"]["mean"] - pairs["random", "none"]["mean"], abs=2e-4
    )
    assert len(chosen["each"]) == 2
    about = {"rows": 16, "share": 0.25, "holdout": 60, "rounds": 2}
    text = report({**about, "model": "tiny", "teacher": "a table", **found})
    assert "teacher: a table" in text and "2 of 8" in text
    headers, rows = repair_tables(found)["differences"]
    assert headers[2] == "says"
    assert [row[0].split(" \N{MINUS SIGN} ") for row in rows] == [list(pair) for pair in PAIRS]
    headers, rows = repair_tables(found)["seeds"]
    assert headers == ["arms", "seed 7", "seed 17"]
    for place, seed in enumerate((7, 17)):
        alone = repair_tables(pooled([result(seed)]))["differences"][1]
        assert [row[1 + place] for row in rows] == [row[1] for row in alone]


def test_with_one_seed_the_tables_say_so() -> None:
    says = {row[0]: row[2] for row in repair_tables(pooled([result(7)]))["differences"][1]}
    assert says["all clean \N{MINUS SIGN} none"] == "better in this one seed"


def test_without_a_gap_no_share_is_told() -> None:
    seeds = [result(7), result(8), result(9)]
    seeds[1]["losses"]["all clean"] = seeds[1]["losses"]["none"]
    found = pooled(seeds)
    closed = found["arms"]["middo"]["gap_closed"]
    assert closed["each"][1] is None and None not in (closed["each"][0], closed["each"][2])
    assert closed["share"] is None  # with one seed in three that has no gap
    rows = {row[0]: row[1:] for row in repair_tables(found)["holdout"][1]}
    assert rows["middo"][1] == "not measurable" and ", not measurable, " in rows["middo"][2]


def test_a_row_without_a_loss_in_one_arm_is_left_out_of_all() -> None:
    whole, spoilt = result(7), result(7)
    spoilt["losses"]["random"]["row-3"] = (None, 10)
    for arm in ("none", "middo", "all clean"):
        del whole["losses"][arm]["row-3"]
    del whole["losses"]["random"]["row-3"]
    assert pooled([spoilt]) == pooled([whole])
    for arm in whole["losses"]:
        whole["losses"][arm] = {}
    with pytest.raises(ValueError, match="no hold-out row has a loss"):
        pooled([whole])


def arguments(folder: Path, model: Path, *more: str) -> argparse.Namespace:
    data = [str(write_pairs(folder / "a.jsonl")), str(write_disfluent(folder / "b.json"))]
    sizes = ["--rows", "64", "--holdout", "24", "--rounds", "1", "--seeds", "1"]
    places = ["--model", str(model), "--out", str(folder / "out"), "--data", *data]
    choice = parsed(["repair", *places, *sizes, *more])
    choice.settings = {
        **SETTINGS,
        "model": {"base": str(model), "max_length": 512},
        "evaluation": {
            "data": str(folder / "out" / "holdout.jsonl"),
            "exclude_overlap": False,
        },
    }
    return choice


def test_all_seeds_have_the_same_hold_out_and_other_rows(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.repair._without_overlap", lambda rows, held: list(rows))
    found = []
    for seed in (7, 8):
        (tmp_path / str(seed) / "out").mkdir(parents=True)
        choice = arguments(tmp_path / str(seed), tiny_folder, "--seed", str(seed))
        rows = seeded_folder(choice, 64, seed, choice.out / f"seed-{seed}") / "rows.jsonl"
        found.append(((choice.out / "holdout.jsonl").read_text(), rows.read_text()))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_all_arms_are_run_once_and_compared(
    tmp_path: Path,
    tiny_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rows from one mould overlap each other, which no real ones do.
    monkeypatch.setattr("benchmarks.repair._without_overlap", lambda rows, held: list(rows))
    target = tmp_path / "found.json"
    assert parts_main(arguments(tmp_path, tiny_folder, "--json", str(target))) == 0
    text = capsys.readouterr().out
    assert "no model, a table that holds the clean originals" in text
    document = json.loads(target.read_text(encoding="utf-8"))
    middo, clean = document["arms"]["middo"], document["arms"]["all clean"]
    assert middo["damaged"] == 16 and middo["clean"] == 48 and middo["replaced_clean"] == 0
    assert 0 < middo["repaired"] == middo["replaced_damaged"] <= middo["sent_damaged"]
    assert middo["sent_clean"] > 0
    gap = next(one for one in document["differences"] if one["arm"] == "all clean")["difference"]
    assert gap["rows"] == 24 and gap["mean"] != 0
    assert clean["loss"] == pytest.approx(document["arms"]["none"]["loss"] + gap["mean"], abs=2e-4)
    runs = document["results"][0]["runs"]
    steps = {one["training"]["steps"] for run in runs.values() for one in run["rounds"]}
    home = tmp_path / "out" / "seed-7" / "clean" / "rounds" / "1" / "model" / "training.json"
    made = json.loads(home.read_text(encoding="utf-8"))
    assert steps == {made["plan"]["max_steps"]}
    assert parts_main(arguments(tmp_path, tiny_folder)) == 0
    assert capsys.readouterr().out == text
    with pytest.raises(SystemExit, match="another needless"):
        parts_main(arguments(tmp_path, tiny_folder, "--needless"))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--needless", "--teacher", "openai:any"], "leave it or --teacher out"),
        (["--max-hours", "1"], "give --rows instead"),
        (["--rows", "200"], "holds 144 rows"),
    ],
)
def test_what_can_not_be_run_is_one_line(
    tmp_path: Path, tiny_folder: Path, more: list[str], what: str
) -> None:
    with pytest.raises(SystemExit, match=what):
        parts_main(arguments(tmp_path, tiny_folder, *more))


def test_hours_take_fewer_rows(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.repair import fitting_rows

    monkeypatch.setattr("benchmarks.repair._without_overlap", lambda rows, held: list(rows))
    monkeypatch.setattr(
        "middo.graph.estimating.estimate",
        lambda config: {"seconds": {"total": {"middle": 3600.0}}},
    )
    more = ("--rows", "100", "--teacher", "import:tests.loop:teacher", "--max-hours")
    choice = arguments(tmp_path, tiny_folder, *more, "1.5")
    choice.out.mkdir()
    assert fitting_rows(choice) == 75  # two loops of an hour each for 100
    assert fitting_rows(arguments(tmp_path, tiny_folder, *more, "9")) == 75  # found once
    (choice.out / "hours.json").unlink()
    with pytest.raises(SystemExit, match="give more hours"):
        fitting_rows(arguments(tmp_path, tiny_folder, *more, "0.5"))
