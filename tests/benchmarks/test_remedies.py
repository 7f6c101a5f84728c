"""Variants of the calibration on a detection run of a tiny model."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.defects import main
from benchmarks.remedies import FURTHER, WithRatio, compared
from middo.signals.controls import KINDS


def test_every_variant_judges_the_rows_of_the_run(
    tmp_path: Path, detected: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out, result = tmp_path / "out", tmp_path / "remedies.json"
    shutil.copytree(detected.out, out)
    assert main(["remedies", "--out", str(out), "--json", str(result)]) == 0
    document = json.loads(result.read_text(encoding="utf-8"))
    without = [f"without {kind}" for kind in KINDS]
    further = ["+ numbers", "+ evasion", "+ sentences"]
    assert list(document["quality"]) == ["as it is", "+ ratio", *without, *further]
    for one in document["quality"].values():
        assert set(one["areas"]) == set(document["quality"]["as it is"]["areas"]) >= {"other"}
        assert one["worst"]["0.08"][1] == round(0.08 * 82)
    before = json.loads(detected.json.read_text(encoding="utf-8"))
    assert document["quality"]["as it is"]["areas"] == before["areas"]["quality"]
    assert set(document["prompts"]) >= {"complexity", "L(p)", "-recoverability"}
    told = capsys.readouterr().out
    assert "without reworded" in told and "L(p) for its length" in told


def test_a_folder_without_detection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run `defects detection` first"):
        main(["remedies", "--out", str(tmp_path)])


def test_the_ratio_is_of_the_two_losses_and_unknown_without_both() -> None:
    assert WithRatio(loss=1.0, alone=4.0).ratio == 0.25
    assert WithRatio(loss=1.0).ratio is None


def test_controls_change_a_number_or_say_nothing() -> None:
    assert FURTHER["numbers"]("It has no figure at all.", 0) is None
    changed = FURTHER["numbers"]("There are 42 of them.", 0)
    assert changed is not None and changed != "There are 42 of them."
    assert changed.startswith("There are ") and changed.endswith(" of them.")
    assert FURTHER["evasion"]("Paris.", 1) == FURTHER["evasion"]("Rome.", 5)
    cut = FURTHER["sentences"]("It rained all day long. Then it stopped.", 0)
    assert cut == "It rained all day long."


def test_a_reading_is_held_against_the_clean_rows_that_have_it() -> None:
    lines = [{"id": str(n), "kind": "disfluent" if n > 7 else ""} for n in range(12)]
    scores = {str(n): float(n) for n in range(1, 12)}
    assert compared(lines, scores, 7)["auc"] == 1.0
    assert compared(lines, {name: -value for name, value in scores.items()}, 7)["auc"] == 0.0
    assert np.isclose(compared(lines, dict.fromkeys(scores, 0.0), 7)["auc"], 0.5)
