"""The demo set holds what its notice says, and its damage follows from the sound answers."""

import json
import random
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from middo.formats import demo
from middo.formats.demo import build
from middo.formats.importing import import_data

ROWS = [
    json.loads(line)
    for line in (files(demo) / "demo.jsonl").read_text(encoding="utf-8").split("\n")
    if line
]
SOUND = [row for row in ROWS if "damage" not in row]


def _damaged(kind: str) -> list[dict[str, str]]:
    return [row for row in ROWS if row.get("damage") == kind]


def test_the_demo_is_imported_by_its_name_alone() -> None:
    imported = import_data("demo")
    assert (imported.format, imported.total, len(imported.samples)) == ("alpaca", 150, 150)
    assert imported.samples[0].source == "demo.jsonl:1"
    kinds = Counter(sample.meta.get("damage") for sample in imported.samples)
    assert kinds == {None: 132, "swapped": 5, "truncated": 5, "repeated": 4, "shuffled": 4}
    assert len({sample.id for sample in imported.samples}) == 150


def test_the_kind_of_damage_is_in_no_message() -> None:
    for sample in import_data("demo").samples:
        text = " ".join(message.content for message in sample.messages)
        assert sample.meta.get("damage", "swapped ") not in text
        assert sample.meta["task"] not in text


def test_texts_are_short_and_no_other_field_is_shipped() -> None:
    assert {key for row in ROWS for key in row} == {
        "instruction",
        "input",
        "output",
        "task",
        "damage",
    }
    for row in SOUND:
        texts = (row["instruction"], row["input"], row["output"])
        assert sum(build.words(text) for text in texts) < 180
        assert 1 <= build.words(row["output"]) <= 120
    assert sum(build.words(row["output"]) < 12 for row in SOUND) == 30


def test_swapped_answers_belong_to_other_sound_rows() -> None:
    owners = {row["output"]: row["task"] for row in SOUND}
    for row in _damaged("swapped"):
        assert owners[row["output"]] != row["task"]


def test_truncated_answers_end_within_a_sentence() -> None:
    for row in _damaged("truncated"):
        assert row["output"][-1].isalnum()


def test_repeated_answers_are_five_words_again_and_again() -> None:
    for row in _damaged("repeated"):
        words = row["output"].split()
        assert words == words[:5] * (len(words) // 5) and len(words) >= 20


def test_shuffled_answers_differ_from_every_sound_one() -> None:
    sound = {row["output"] for row in SOUND}
    for row in _damaged("shuffled"):
        assert row["output"] not in sound and build.words(row["output"]) >= 20


def test_damage_is_drawn_from_the_seed_alone() -> None:
    rows = [row for row in SOUND if build.words(row["output"]) >= 12]
    first = build.damage(rows, random.Random(build.SEED))
    assert first == build.damage(rows, random.Random(build.SEED))
    assert Counter(row.get("damage") for row in first) == {None: len(rows) - 18} | build.DAMAGE
    clean = {row["task"]: row["output"] for row in rows}
    for row in first:
        answer = clean[row["task"]]
        match row.get("damage"):
            case None:
                assert row["output"] == answer
            case "truncated":
                assert answer.startswith(row["output"])
                assert 0.2 < len(row["output"]) / len(answer) < 0.5
            case "shuffled":
                assert sorted(row["output"].split()) == sorted(answer.split())
                assert row["output"] != answer
            case "repeated":
                assert row["output"].split()[:5] == answer.split()[:5]
                assert abs(build.words(row["output"]) - build.words(answer)) <= 3
            case "swapped":
                assert row["output"] in clean.values() and row["output"] != answer


def test_the_builder_writes_the_same_file_from_the_same_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        {
            "id": f"t{n}",
            "instruction": f"Say {n}.",
            "input": "",
            "reference": " ".join(f"word{n}x{m}" for m in range(5 if n < 40 else 30)),
        }
        for n in range(200)
    ]
    data, to = tmp_path / "tasks.jsonl", tmp_path / "demo.jsonl"
    data.write_text("\n".join(map(json.dumps, tasks)), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["build", "--data", str(data), "--to", str(to)])
    build.main()
    first = to.read_bytes()
    build.main()
    assert to.read_bytes() == first
    assert len(import_data(str(to)).samples) == 150


def test_the_notice_states_source_licence_and_seed() -> None:
    notice = (files(demo) / "NOTICE.txt").read_text(encoding="utf-8")
    for fact in ("0b26ccaa415992100fa32df62d41b994cf928e23", "Apache License", str(build.SEED)):
        assert fact in notice
