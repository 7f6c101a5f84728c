"""The detection benchmark on a tiny model, and its tables on made-up figures."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.damage import SEEDED
from benchmarks.defects import parsed, parts_main
from benchmarks.detection import seeded_files
from benchmarks.detection_tables import JUDGES, judged, report
from benchmarks.seeding import read_lines
from tests.benchmarks.damaging import write_pairs


def line(kind: str, **scores: float | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "fits": list(SEEDED) if not kind else [kind],
        "flags": ["quality"] if kind == "refusal" else [],
        "scores": {**dict.fromkeys(JUDGES, 0.5), **scores},
    }


def test_judges_are_told_apart_by_kind_and_group() -> None:
    lines = [line("", quality=0.1 + n / 100) for n in range(20)]
    lines += [line("refusal", quality=0.9), line("refusal", quality=None, ratings=0.9)]
    lines += [line("other", quality=0.9) for _ in range(3)]
    found = judged(lines, 7)
    assert found["areas"]["quality"]["refusal"]["auc"] == 0.5  # one of two is ranked best
    assert found["areas"]["quality"]["other"]["auc"] == 1.0
    assert found["areas"]["length"]["other"]["auc"] == 0.5
    assert found["means"]["quality"]["built"]["auc"] == 1.0
    assert found["means"]["ratings"]["not built"]["auc"] == 0.75
    assert found["flagged"]["refusal"] == {
        **{"complexity": 0, "diversity": 0, "quality": 2},
        **{"any": 2, "rows": 2},
    }
    assert found["flagged"]["clean"]["any"] == 0
    assert found["not_scored"]["quality"] == 1
    assert found["worst"]["quality"]["0.16"] == [4, 4]  # of 25; the row without a score is last
    assert found["worst"]["ratings"]["0.01"] == [1, 1]
    text = report({**found, "model": "tiny", "seed": 7})
    built, _, rest = text.partition("never builds")
    assert "other" in built and "1.00 (1.00-1.00)" in built and "refusal" in rest
    assert "complexity: other, refusal" in text and "quality: refusal" in text


def test_a_training_is_diagnosed_once_and_tables_are_made_again(
    tmp_path: Path, detected: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(detected.json.read_text(encoding="utf-8"))
    assert document["counts"] == {"clean": 50, **dict.fromkeys(SEEDED, 4)}
    assert document["held_against"]["refusal"] == 50 > document["held_against"]["number"] > 0
    assert set(document["areas"]) == set(JUDGES)
    assert document["not_scored"]["ratings"] == document["not_scored"]["ifd"] == 0
    assert document["run"]["training"]["steps"] > 0
    assert document["flagged"]["clean"]["rows"] == 50
    assert sum(one["any"] for one in document["flagged"].values()) > 0
    held = (detected.out / "holdout.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(held) == 5  # a tenth of the clean rows; a tenth of four is none
    out = tmp_path / "out"
    out.mkdir()
    for name in ("settings.json", "signals.jsonl", "run.json"):  # no run to train or measure in
        (out / name).write_bytes((detected.out / name).read_bytes())
    again = argparse.Namespace(**{**vars(detected), "out": out, "json": None})
    assert parts_main(again) == 0
    assert capsys.readouterr().out == report(document) + "\n"
    with pytest.raises(SystemExit, match="another seed; name another --out"):
        parts_main(argparse.Namespace(**{**vars(again), "seed": 8}))


def test_only_the_kinds_asked_for_are_seeded(tmp_path: Path) -> None:
    data = str(write_pairs(tmp_path / "rows.jsonl"))
    sizes = ["--rows", "20", "--damaged", "10", "--kinds", "sentence", "refusal"]
    choice = parsed(["detection", "--data", data, "--out", str(tmp_path), *sizes])
    rows, held = map(read_lines, seeded_files(choice))
    assert Counter(row["kind"] for row in rows) == {"": 20, "sentence": 10, "refusal": 10}
    assert Counter(row["kind"] for row in held) == {"": 2, "sentence": 1, "refusal": 1}
