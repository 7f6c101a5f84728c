"""`middo compare` on the command line: refusals, the text, the picture."""

from pathlib import Path
from typing import Any

from middo.cli.compare import _picture, compared_text
from middo.curation.pooling import NO_DIFFERENCE
from middo.formats.configuration import dump_config
from middo.graph.comparing import CHOSEN
from tests.cli.conftest import Command
from tests.loop import config, write_rows


def told(arm: str, seed: int, refined: int, loss: float) -> dict[str, Any]:
    return {
        "arm": arm,
        "seed": seed,
        "refined": refined,
        "accepted": refined // 2,
        "steps": 18,
        "last_loss": loss,
        "export_loss": loss - 0.01,
        "seconds": 60.0,
    }


def apart(arm: str, of: str, mean: float, low: float, high: float, says: str) -> dict[str, Any]:
    each = [mean - 0.001, mean + 0.001]
    found = {"mean": mean, "low": low, "high": high, "rows": 120, "each": each, "says": says}
    return {"arm": arm, "against": "none", "of": of, "difference": found}


DOCUMENT: dict[str, Any] = {
    "comparison": "arms",
    "status": "finished",
    "arms": ["middo", "none"],
    "seeds": [7, 8],
    "compared_seeds": [7, 8],
    "runs": [
        told("middo", 7, 20, 1.8),
        told("none", 7, 0, 1.9),
        told("middo", 8, 10, 2.0),
        told("none", 8, 0, 2.1),
    ],
    "differences": [
        apart("middo", "last", -0.0121, -0.0312, 0.0074, NO_DIFFERENCE),
        apart("middo", "export", -0.0221, -0.0412, -0.0074, CHOSEN),
    ],
    "pooling": "mean over seeds",
}


def test_the_text_adds_up_the_arms_and_says_when_an_interval_shows_nothing() -> None:
    lines = compared_text(DOCUMENT, Path("runs/arms")).splitlines()
    assert lines[0] == "Comparison arms: finished, 2 arms, 2 seeds (7, 8)"
    (arm,) = [line.split() for line in lines if line.startswith("middo  ")]
    assert arm == ["middo", "2", "18", "30", "15", "1.9000", "1.8900", "2", "min", "00", "s"]
    (last,) = [line for line in lines if "last round" in line and "-0.0121" in line]
    assert last.endswith("-0.0312 to +0.0074  no measurable difference (0 inside)")
    (export,) = [line for line in lines if "exported" in line and "-0.0221" in line]
    assert export.endswith(f"-0.0412 to -0.0074  {CHOSEN}")
    assert any("runs/arms/comparison.svg" in line for line in lines)


def test_what_is_not_compared_yet_is_named() -> None:
    partly = {**DOCUMENT, "status": "interrupted", "compared_seeds": [7]}
    text = compared_text(partly, Path("runs/arms"))
    assert "seeds not compared yet: 8" in text
    assert "comparison.svg" not in text
    empty = {**partly, "compared_seeds": [], "runs": [], "differences": []}
    assert "Against each other" not in compared_text(empty, Path("runs/arms"))


def test_the_picture_has_the_pairs() -> None:
    drawn = _picture(DOCUMENT)
    assert drawn.count('class="rod') == 2
    assert "Arms compared over 2 seeds" in drawn
    assert "below 0 the first is better (2 seeds)" in drawn
    assert "(one seed: intervals over rows alone)" in _picture({**DOCUMENT, "compared_seeds": [7]})


def test_what_has_no_figure_is_told() -> None:
    nothing = {"arm": "middo", "against": "none", "of": "last", "difference": None}
    text = compared_text({**DOCUMENT, "differences": [nothing]}, Path("runs/arms"))
    assert "no held-out row in common" in text
    assert 'class="rod' not in _picture({**DOCUMENT, "differences": [nothing]})


def test_a_comparison_on_the_command_line_ends_with_its_picture(
    middo: Command, tmp_path: Path, tiny_folder: Path
) -> None:
    chosen = config(write_rows(tmp_path / "rows.jsonl"), tiny_folder, rounds=0)
    file, out = tmp_path / "my.yaml", tmp_path / "out"
    file.write_text(dump_config(chosen), encoding="utf-8")
    ran = middo("compare", file, "--arms", "middo,none", "--seeds", "1", "--out", out, "--json")
    assert ran.code == 0, ran.err
    (last, export) = (one["difference"] for one in ran.document["differences"])
    assert (last["mean"], last["says"], export["says"]) == (0, "the same", "the same")
    assert ran.document["pooling"].endswith("compare with 3 seeds or more")
    assert (out / "comparison.svg").read_text("utf-8").count('class="rod') == 2
    ran = middo("compare", file, "--arms", "middo,none", "--seeds", "1", "--out", out)
    assert ran.code == 0
    assert ran.out.startswith("Comparison out: finished, 2 arms, 1 seed (7)")


def test_arms_that_are_none_are_one_line_and_exit_2(middo: Command, tmp_path: Path) -> None:
    ran = middo("compare", "--arms", "middo,best", "--out", tmp_path / "out")
    assert ran.code == 2
    assert ran.err.strip() == (
        "middo: --arms: no arm 'best'; there are middo, none, random, rewrite-all"
    )
    ran = middo("compare", "--arms", "random", "--out", tmp_path / "out", "--json")
    assert ran.code == 2
    assert "add middo" in ran.document["error"]
    assert not (tmp_path / "out").exists()
